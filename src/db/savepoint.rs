//! Parts of a command that may say no, or are only tried: what they wrote is undone, and the command goes on.

use super::conn::broken;
use super::tx::Tx;
use crate::error::{Error, Result};

/// Letters that are kept of why a command was refused.
const MOST_LETTERS: usize = 500;

impl Tx<'_> {
    /// Runs a part of a command. When it says no, what it wrote is undone, and the "no" is the inner result; the outer one is a
    /// fault of the machine.
    pub fn part<A>(&mut self, part: impl FnOnce(&mut Tx<'_>) -> Result<A>) -> Result<Result<A>> {
        let mark = self.mark();
        self.conn().run("SAVEPOINT part").map_err(broken)?;
        let done = part(self);
        match &done {
            Err(fault) if !fault.is_answer() => return Err(fault.clone()),
            Err(_) => {
                self.conn().run("ROLLBACK TO SAVEPOINT part").map_err(broken)?;
                self.back_to(&mark);
            }
            Ok(_) => {}
        }
        self.conn().run("RELEASE SAVEPOINT part").map_err(broken)?;
        Ok(done)
    }

    /// As [`Tx::part`], and a "no" is recorded under `name`: what a whole command is run by.
    pub fn attempt<A>(&mut self, name: &str, command: impl FnOnce(&mut Tx<'_>) -> Result<A>) -> Result<Result<A>> {
        let done = self.part(command)?;
        if let Err(no) = &done {
            self.refused(name, no);
        }
        Ok(done)
    }

    /// Records that a command was refused (I10), where what it wrote need not be undone. Of a long sentence only the beginning: it may
    /// repeat what was sent, and an event is kept for ever.
    pub fn refused(&mut self, name: &str, no: &Error) {
        let mut message = no.to_string();
        if let Some((end, _)) = message.char_indices().nth(MOST_LETTERS) {
            message.truncate(end);
            message.push('…');
        }
        let after = serde_json::json!({ "code": no.code(), "message": message });
        self.event("command.refused", name, None, Some(after.to_string()));
    }

    /// Runs a part of a command and undoes it, to know what it would answer: a dry run. Gives that, and whether it would record
    /// anything. Its refusal is not recorded either.
    pub fn rehearse<A>(&mut self, part: impl FnOnce(&mut Tx<'_>) -> Result<A>) -> Result<(Result<A>, bool)> {
        let mark = self.mark();
        self.conn().run("SAVEPOINT part").map_err(broken)?;
        let done = part(self);
        if let Err(fault) = &done
            && !fault.is_answer()
        {
            return Err(fault.clone());
        }
        let recorded = self.has_recorded_since(&mark);
        self.conn().run("ROLLBACK TO SAVEPOINT part").map_err(broken)?;
        self.back_to(&mark);
        self.conn().run("RELEASE SAVEPOINT part").map_err(broken)?;
        Ok((done, recorded))
    }
}

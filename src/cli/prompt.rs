//! Questions to whoever sits there. Secrets are never arguments, which every process on the machine can see and shells keep: they
//! are asked for without an echo, or read from standard input, a line each, where that is no terminal.

use crate::access::Secret;
use crate::error::{Error, Result};
use std::io::{BufRead, IsTerminal, Write};

/// A line that may be seen.
pub(super) fn line(question: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprint!("{question}: ");
        // A question that is not seen is answered with the wrong thing at worst.
        let _ = std::io::stderr().flush();
    }
    next_line(question)
}

/// A line that may not be seen.
pub(super) fn secret(question: &str) -> Result<Secret> {
    if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{question}: "));
        let typed = typed.map_err(|e| Error::Broken(format!("cannot ask for the {question}: {e}")))?;
        return Ok(Secret::given(&typed));
    }
    next_line(question).map(|text| Secret::given(&text))
}

/// A new secret: twice from a terminal, for nobody sees what they type.
pub(super) fn new_secret(question: &str) -> Result<Secret> {
    if !std::io::stdin().is_terminal() {
        return secret(question);
    }
    loop {
        let typed = secret(question)?;
        if typed == secret("The same again")? {
            return Ok(typed);
        }
        eprintln!("They differ; once more.");
    }
}

fn next_line(question: &str) -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_line(&mut text);
    match read.map_err(|e| Error::Broken(format!("cannot read the {question}: {e}")))? {
        0 => Err(Error::Refused {
            code: "no_answer",
            message: format!("standard input ended before the {question}; give it as a line of its own"),
        }),
        _ => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
    }
}

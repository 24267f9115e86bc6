//! What an import keeps from one of its commits to the next.
//!
//! - What decides on the lines of a master: reading a thousand leaves and all rules again for every few hundred lines would
//!   cost more than deciding. It is asked under the writer's lock whether anything but the daily business was recorded since; if
//!   so, all is read anew.
//! - Which lines it has stored itself ([`Ordinals`]).

use crate::allocation::place::Placer;
use crate::allocation::{announced, returns, reversals, store};
use crate::db::Tx;
use crate::error::Result;
use crate::statements::Ordinals;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by the commits of one import, which come one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    placer: Option<Known>,
    ordinals: Ordinals,
}

/// What decides on the lines of one master.
#[derive(Debug)]
struct Known {
    master: String,
    /// The last event that it knows of.
    event: i64,
    placer: Placer,
}

impl Kept {
    /// Lends what decides now. What the lines of one commit have looked up is not kept: that commit may be undone. What it
    /// has stored is: to look for lines that are not there costs a look.
    pub(super) fn with<A>(
        &self,
        tx: &mut Tx<'_>,
        master: &str,
        use_it: impl FnOnce(&mut Tx<'_>, &mut Placer, &mut Ordinals) -> Result<A>,
    ) -> Result<A> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let event = tx.last_event();
        let mut placer = match memory.placer.take() {
            Some(k) if k.master == master && !store::decides_otherwise(tx.conn(), k.event)? => k.placer,
            _ => crate::allocation::placer(tx.conn(), master)?,
        };
        let answer = use_it(tx, &mut placer, &mut memory.ordinals);
        placer.announced = announced::Announced::default();
        placer.originals = returns::Originals::default();
        placer.inflows = reversals::Inflows::default();
        memory.placer = Some(Known { master: master.to_owned(), event, placer });
        answer
    }
}

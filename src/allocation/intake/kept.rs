//! What decides on the lines of a master, kept by an import from one of its commits to the next: reading a thousand leaves and
//! all rules again for every few hundred lines would cost more than deciding. It is asked under the writer's lock whether
//! anything but the daily business was recorded since; if so, all is read anew.

use crate::allocation::place::Placer;
use crate::allocation::{announced, returns, reversals, store};
use crate::db::Tx;
use crate::error::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by the commits of one import, which come one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Option<Known>>>);

/// What decides on the lines of one master.
#[derive(Debug)]
struct Known {
    master: String,
    /// The last event that it knows of.
    event: i64,
    placer: Placer,
}

impl Kept {
    /// Lends what decides now. What the lines of one commit have looked up is not kept: that commit may be undone.
    pub(super) fn with<A>(
        &self,
        tx: &mut Tx<'_>,
        master: &str,
        use_it: impl FnOnce(&mut Tx<'_>, &mut Placer) -> Result<A>,
    ) -> Result<A> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let event = tx.last_event();
        let mut placer = match kept.take() {
            Some(k) if k.master == master && !store::decides_otherwise(tx.conn(), k.event)? => k.placer,
            _ => crate::allocation::placer(tx.conn(), master)?,
        };
        let answer = use_it(tx, &mut placer);
        placer.announced = announced::Announced::default();
        placer.originals = returns::Originals::default();
        placer.inflows = reversals::Inflows::default();
        *kept = Some(Known { master: master.to_owned(), event, placer });
        answer
    }
}

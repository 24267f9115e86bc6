//! What decides on the lines of a master, kept from one commit of an import to the next: reading a thousand leaves and all
//! rules again for every few hundred lines would cost more than deciding. It is asked under the writer's lock whether
//! anything but the daily business was recorded since; if so, all is read anew.

use crate::allocation::place::Placer;
use crate::allocation::{announced, returns, reversals, store};
use crate::db::Tx;
use crate::error::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// A placer of one master, and the last event that it knows of.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptPlacer(Arc<Mutex<Option<(String, i64, Placer)>>>);

impl KeptPlacer {
    /// Lends what decides now. What the lines of one commit have looked up is not kept: that commit may be undone.
    pub(super) fn with<A>(
        &self,
        tx: &mut Tx<'_>,
        master: &str,
        use_it: impl FnOnce(&mut Tx<'_>, &mut Placer) -> Result<A>,
    ) -> Result<A> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = tx.last_event();
        let mut placer = match kept.take() {
            Some((of, then, placer)) if of == master && !store::decides_otherwise(tx.conn(), then)? => placer,
            _ => crate::allocation::placer(tx.conn(), master)?,
        };
        let answer = use_it(tx, &mut placer);
        placer.announced = announced::Announced::default();
        placer.originals = returns::Originals::default();
        placer.inflows = reversals::Inflows::default();
        *kept = Some((master.to_owned(), now, placer));
        answer
    }
}

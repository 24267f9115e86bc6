//! `tributary folder watch`: looks again and again until it is told to stop.

use super::rounds::{Rounds, Treasury};
use super::{Context, folder};
use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How to watch.
#[derive(Debug, clap::Args)]
pub struct Watch {
    /// Only these folders
    names: Vec<String>,
    /// Seconds from one look to the next
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

/// Watches.
pub fn run(context: &Context, args: &Watch) -> Result<()> {
    let declared = folder::declared(context, &args.names)?;
    if declared.is_empty() {
        return Err(Error::NotFound("no folder is declared in the configuration; docs/folders.md says how".to_owned()));
    }
    // A mistyped database is said at once, and not at the first file.
    drop(context.open_to_read()?);
    let (stop, stopped) = on_signals()?;
    if !context.json {
        let names: Vec<&str> = declared.iter().map(|d| d.folder.name.as_str()).collect();
        eprintln!("tributary: watching {}, every {} s; Ctrl-C ends it", names.join(", "), args.every);
    }
    let mut rounds = Rounds::new(Treasury::Shared(context), &context.who, declared, &stop);
    loop {
        rounds.make();
        match stopped.recv_timeout(Duration::from_secs(args.every)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if !context.json {
        eprintln!("tributary: stopped; nothing is half done");
    }
    Ok(())
}

/// Set and told at the first SIGINT or SIGTERM; the second one ends the program at once, which loses nothing either.
pub(super) fn on_signals() -> Result<(Arc<AtomicBool>, Receiver<()>)> {
    let failed = |e: std::io::Error| Error::Broken(format!("cannot listen to signals: {e}"));
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop)).map_err(failed)?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(failed)?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = tell.send(());
        }
    });
    Ok((stop, told))
}

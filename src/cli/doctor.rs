//! `tributary doctor`: whether all is well, and what mends what is not.

use super::{Context, print_json};
use crate::config;
use crate::doctor::{self, State};
use crate::error::{Error, Result};
use crate::time::{Clock, SystemClock};
use serde_json::json;
use std::sync::Arc;

/// Looks, and says what it found; 1 where something is wrong.
pub fn run(context: &Context) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let found = doctor::examine(config::load(context.config.as_deref()), &context.url()?, &clock);
    let of = |state: State| found.iter().filter(|f| f.state == state).count();
    let (look, wrong) = (of(State::Look), of(State::Wrong));
    if context.json {
        print_json(&json!({ "ok": wrong == 0, "findings": found }))?;
    } else {
        for finding in &found {
            let sign = match finding.state {
                State::Well => "well ",
                State::Look => "look ",
                State::Wrong => "WRONG",
            };
            say!("{sign}  {:<13}  {}", finding.about, finding.found);
            if let Some(mend) = &finding.mend {
                say!("{:22}-> {mend}", "");
            }
        }
        say!("{} looked at: {look} to look into, {wrong} wrong.", found.len());
    }
    if wrong == 0 {
        return Ok(());
    }
    Err(Error::Refused {
        code: "not_well",
        message: format!("{wrong} of {} are wrong; each says what mends it", found.len()),
    })
}

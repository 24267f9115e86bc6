//! The order of events that every reader keeps, whatever it reads: begin, lines, end; and a reason where one is missing.
//!
//! Shared by the mutations and by the targets of `fuzz/`, so it stands on nothing but the library.

use tributary::banking::{Event, Problem, Reader, Severity};

/// Reads a file whole; what is wrong with the events themselves.
pub fn read_in_order(file: &[u8]) -> Result<(), String> {
    let mut open: Option<usize> = None;
    let (mut begun, mut grave) = (0, false);
    let mut positions = 0;
    let mut events: u64 = 0;
    let most = u64::try_from(file.len()).unwrap_or(u64::MAX / 400) * 200 + 100_000;
    for event in Reader::new(file) {
        events += 1;
        if events > most {
            return Err(format!("it gives more than {most} events"));
        }
        match event {
            Event::Begin(head) => {
                if let Some(before) = open
                    && !grave
                {
                    return Err(format!("statement {before} has no end and nobody says why"));
                }
                if head.index != begun {
                    return Err(format!("statement {} follows {begun} others", head.index));
                }
                (open, begun, positions) = (Some(head.index), begun + 1, 0);
            }
            Event::Line(line) => {
                if open.is_none() {
                    return Err(format!("a line stands outside of a statement at {}", line.at));
                }
                // Without a day it can be only where somebody said why, and the statement is refused.
                let dateless = line.booked_on.is_none() && !grave;
                if line.position < positions || line.amount.0 < 0 || line.details.is_empty() || dateless {
                    return Err(format!("a line at {} is not what lines are: {line:?}", line.at));
                }
                positions = line.position + 1;
            }
            Event::End(foot) => {
                if open.take().is_none() {
                    return Err("an end stands outside of a statement".to_owned());
                }
                if foot.line_count < positions || foot.credit_count + foot.debit_count > foot.line_count {
                    return Err(format!("the counts of a statement contradict its lines: {foot:?}"));
                }
            }
            Event::Problem(Problem { statement, at, problem, severity }) => {
                grave |= severity == Severity::Grave;
                if at.is_empty() || problem.is_empty() {
                    return Err("a problem has no place or says nothing".to_owned());
                }
                if statement.is_some_and(|index| index >= begun) {
                    return Err(format!("a problem of statement {statement:?} stands before it"));
                }
            }
        }
    }
    match open {
        Some(index) if !grave => Err(format!("statement {index} has no end and nobody says why")),
        _ if begun == 0 && !grave => Err("it gives nothing and says nothing".to_owned()),
        _ => Ok(()),
    }
}

//! What every target does: reads the bytes whole and holds the events to their order.

#[path = "../../tests/it/order.rs"]
mod order;

use tributary::banking::{Event, Format, Reader};

/// Whatever the bytes are: recognised as a user's file would be.
pub fn recognised(bytes: &[u8]) {
    if let Err(wrong) = order::read_in_order(bytes) {
        panic!("{wrong}");
    }
}

/// Read as one format, so that the engine need not find out first how a file of it begins.
pub fn read_as(format: Format, bytes: &[u8]) {
    let mut ended = true;
    for event in Reader::open(format, bytes) {
        match event {
            Event::Begin(_) => ended = false,
            Event::Line(line) => assert!(!ended, "a line outside of a statement: {line:?}"),
            Event::End(_) => ended = true,
            Event::Problem(problem) => assert!(!problem.at.is_empty()),
        }
    }
}

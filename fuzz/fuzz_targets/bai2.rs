//! No bytes make the bai2 reader panic or hang.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary::banking::{Format, Reader};

fuzz_target!(|bytes: &[u8]| {
    Reader::open(Format::Bai2, bytes).for_each(drop);
});

//! BAI2 and BTRS.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tributary_fuzz::read_as(tributary::banking::Format::Bai2, bytes);
});

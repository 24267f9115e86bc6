//! camt.052, .053 and .054.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tributary_fuzz::read_as(tributary::banking::Format::Camt053, bytes);
});

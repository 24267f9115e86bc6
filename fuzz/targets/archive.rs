//! Zip and gzip, and the recognition of whatever is inside; bytes of no format are a file too.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tributary_fuzz::recognised(bytes);
    tributary::banking::detect(bytes);
    tributary::banking::may_hold_statements(bytes);
});

//! MT940 and MT942.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tributary_fuzz::read_as(tributary::banking::Format::Mt940, bytes);
});

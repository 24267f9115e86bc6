//! OFX, as SGML and as XML.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tributary_fuzz::read_as(tributary::banking::Format::Ofx, bytes);
});

//! CSV and the profiles that declare it: what stands before the first NUL is tried as a profile, and what stands behind it
//! is read by that, or by the examples that come with the program.
#![no_main]

use tributary::banking::{Profile, Profiles, Reader};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|b| *b == 0).unwrap_or(0);
    let (text, file) = bytes.split_at(at);
    if let Some(profile) = std::str::from_utf8(text).ok().and_then(|text| Profile::parse(text).ok()) {
        Reader::with_profiles(file, &Profiles::named(profile)).for_each(drop);
    }
    for example in [include_str!("../../config/csv/nordbank.toml"), include_str!("../../config/csv/wallet.toml")] {
        let profile = Profile::parse(example).expect("an example");
        Reader::with_profiles(bytes, &Profiles::named(profile)).for_each(drop);
    }
});

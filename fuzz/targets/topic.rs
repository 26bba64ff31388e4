//! The target `topic` under libFuzzer. Called by cargo-fuzz.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| zenei_fuzz::topic::check(input));

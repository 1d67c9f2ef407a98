#![no_main]

#[expect(
    dead_code,
    unused_imports,
    reason = "each target runs one of the bodies"
)]
#[path = "../../tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::session(data));

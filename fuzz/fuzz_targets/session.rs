//! See `countersign_fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    countersign_fuzz::soon(|| {
        let _ = countersign_fuzz::session(bytes);
    });
});

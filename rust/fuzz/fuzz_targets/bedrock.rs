//! Decodes any bytes in this dialect.
#![no_main]

mod common;

use headrace_wire::Dialect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| common::check(Dialect::Bedrock, body));

//! Reads any bytes as the body of a request, in each protocol that is served: nothing panics, and what is accepted has a
//! model that is served.
#![no_main]

use headrace_server::{Asked, Protocol};
use libfuzzer_sys::fuzz_target;

const PROTOCOLS: [Protocol; 6] = [
    Protocol::Chat,
    Protocol::Responses,
    Protocol::Messages,
    Protocol::AgUi,
    Protocol::UiMessages,
    Protocol::A2a,
];

fuzz_target!(|input: &[u8]| {
    let served = ["m".to_owned()];
    for protocol in PROTOCOLS {
        if let Ok(asked) = Asked::read(protocol, input, &served, None) {
            assert_eq!(asked.model, "m");
            assert_eq!(asked.tool_names().count(), asked.tools.len());
        }
    }
});

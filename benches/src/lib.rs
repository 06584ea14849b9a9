//! Inputs that several benches share.

/// One OpenAI chat chunk of about 300 bytes, as OpenAI writes it, with its frame.
#[must_use]
pub fn openai_frame(token: &str) -> String {
    format!(
        concat!(
            r#"data: {{"id":"chatcmpl-CHGO2tEI6sbkSbDgcRkE5p3HfRnbP","object":"chat.completion.chunk","created":1757,"#,
            r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_560af6e559","#,
            r#""choices":[{{"index":0,"delta":{{"content":"{}"}},"logprobs":null,"finish_reason":null}}],"usage":null}}"#,
            "\n\n",
        ),
        token
    )
}

/// A body of `count` such frames whose tokens differ.
#[must_use]
pub fn openai_body(count: usize) -> Vec<u8> {
    let words = [" the", " water", " wheel", " turns", ",", " and", " its", " race", ".", " 42"];
    words.iter().cycle().take(count).flat_map(|word| openai_frame(word).into_bytes()).collect()
}

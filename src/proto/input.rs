//! What users send to a turn.

use serde::{Deserialize, Serialize};

use super::null_is_default;

/// A piece of what the user sends.
///
/// The order of the variants is that of the reference, because its refusal of an unknown one lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum UserInput {
    /// Text.
    Text {
        /// The words.
        text: String,
        /// Spans of the text that the client shows in its own way; snake_case on the wire.
        #[serde(rename = "text_elements", default, deserialize_with = "null_is_default")]
        text_elements: Vec<TextElement>,
    },
    /// A picture by address.
    Image {
        /// Where it is.
        #[serde(flatten)]
        source: MediaSource,
        /// In which detail the model should see it.
        #[serde(default)]
        detail: Option<ImageDetail>,
    },
    /// A picture on the server's disk.
    LocalImage {
        /// In which detail the model should see it.
        #[serde(default)]
        detail: Option<ImageDetail>,
        /// Its path.
        path: String,
    },
    /// A sound by address.
    Audio {
        /// Where it is.
        #[serde(flatten)]
        source: MediaSource,
    },
    /// A sound on the server's disk.
    LocalAudio {
        /// Its path.
        path: String,
    },
    /// A skill that the user chose.
    Skill {
        /// Its name.
        name: String,
        /// Its file.
        path: String,
    },
    /// A file, app or the like that the user mentioned.
    Mention {
        /// Its name.
        name: String,
        /// Its path or address.
        path: String,
    },
}

/// Where a picture or sound is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum MediaSource {
    /// At an address, often a `data:` URL.
    Url {
        /// The address.
        url: String,
    },
    /// Uploaded before.
    File {
        /// The upload's id.
        file_id: String,
    },
}

/// In which detail the model sees a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ImageDetail {
    /// The model decides.
    Auto,
    /// Few tokens.
    Low,
    /// Many tokens.
    High,
    /// As it is.
    Original,
}

/// A span of a text with its own look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TextElement {
    /// Where it is.
    pub byte_range: ByteRange,
    /// What the client shows instead.
    pub placeholder: Option<String>,
}

/// A range of UTF-8 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ByteRange {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Serialize + serde::de::DeserializeOwned>(json: &str) {
        let value: T = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
    }

    #[test]
    fn inputs_round_trip() {
        round_trip::<UserInput>(
            r#"{"type":"text","text":"x","text_elements":[{"byteRange":{"start":0,"end":1},"placeholder":null}]}"#,
        );
        round_trip::<UserInput>(r#"{"type":"image","url":"data:image/png;base64,AAAA","detail":null}"#);
        round_trip::<UserInput>(r#"{"type":"image","fileId":"f","detail":"low"}"#);
        round_trip::<UserInput>(r#"{"type":"localImage","detail":null,"path":"/nonexistent.png"}"#);
        round_trip::<UserInput>(r#"{"type":"audio","url":"data:audio/wav;base64,AAAA"}"#);
        round_trip::<UserInput>(r#"{"type":"mention","name":"n","path":"app://a"}"#);
    }
}

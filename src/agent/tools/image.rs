//! `view_image`: shows the model a picture on disk.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::{Tool, ToolContext, ToolOutput, arguments};
use crate::agent::input::picture;
use crate::agent::stop::Stop;
use crate::model::{Content, ToolCall, ToolSpec};
use crate::proto::{ImageViewItem, ItemBody};

pub(super) struct ViewImage;

#[derive(Deserialize)]
struct Arguments {
    path: String,
}

impl Tool for ViewImage {
    fn spec(&self) -> ToolSpec {
        ToolSpec::Function {
            name: "view_image".to_owned(),
            description: "Shows you a picture file (PNG, JPEG, GIF or WebP).".to_owned(),
            parameters: json!({
                "type": "object",
                "properties": { "path": { "type": "string", "description": "The file." } },
                "required": ["path"],
                "additionalProperties": false,
            }),
            strict: false,
        }
    }

    fn is_parallel(&self) -> bool {
        true
    }

    fn run(&self, call: &ToolCall, context: &ToolContext) -> Result<ToolOutput, Stop> {
        let Arguments { path } = match arguments(call) {
            Ok(wanted) => wanted,
            Err(refusal) => return Ok(refusal),
        };
        let path = Path::new(&context.settings.cwd).join(path);
        let url = match picture(&path) {
            Ok(url) => url,
            Err(why) => {
                return Ok(ToolOutput::failed(format!("{} cannot be shown: {why}", path.display())));
            }
        };
        let item = ImageViewItem { id: call.call_id.clone(), path: path.display().to_string() };
        let now = context.teller.now_ms();
        context.teller.start_item(ItemBody::ImageView(item.clone()), now)?;
        context.teller.complete_item(ItemBody::ImageView(item), now, &[])?;
        Ok(ToolOutput { content: vec![Content::Image { url }], success: true })
    }
}

//! Answers whose long parts a worker has encoded, so that the processor only puts a head before and a tail
//! behind them.
//!
//! A message is one piece of memory for its writers. The worker leaves room in front of what it encodes, and
//! the head is written into that room: the long part is never moved.

use bytes::Bytes;
use serde::Serialize;

use super::encode::{error_response, response};
use super::error::RpcError;
use super::id::RequestId;
use crate::limits::ANSWER_ROOM_BYTES;

/// A JSON array, encoded element by element on any worker.
#[derive(Debug)]
pub struct LongArray {
    /// Room, then the array without its closing bracket.
    text: Vec<u8>,
    /// Where the last element begins, with the comma before it.
    last: Option<usize>,
}

/// Something encoded that takes the place of a null: the name of its field, and the JSON.
pub type Filling<'a> = (&'a str, &'a [u8]);

impl Default for LongArray {
    fn default() -> Self {
        Self { text: [vec![b' '; ANSWER_ROOM_BYTES], vec![b'[']].concat(), last: None }
    }
}

impl LongArray {
    /// Adds an element.
    ///
    /// # Errors
    /// If it cannot be encoded, which for our own types is a bug; the array is as it was then.
    pub fn push(&mut self, element: &impl Serialize) -> Result<(), serde_json::Error> {
        let at = self.text.len();
        if at > ANSWER_ROOM_BYTES + 1 {
            self.text.push(b',');
        }
        if let Err(error) = serde_json::to_writer(&mut self.text, element) {
            self.text.truncate(at);
            return Err(error);
        }
        self.last = Some(at);
        Ok(())
    }

    /// Takes the last element out again. Only once behind an element: the one before it is not known.
    pub fn pop(&mut self) {
        if let Some(at) = self.last.take() {
            self.text.truncate(at);
        }
    }

    /// Gives back memory that is not needed, but for what comes behind.
    pub fn fit(&mut self) {
        self.text.shrink_to(self.text.len() + ANSWER_ROOM_BYTES);
    }

    /// The array between `head` and `tail`.
    fn between(mut self, head: &[u8], tail: &[&[u8]]) -> Bytes {
        self.text.push(b']');
        for part in tail {
            self.text.extend_from_slice(part);
        }
        match ANSWER_ROOM_BYTES.checked_sub(head.len()) {
            Some(start) => {
                self.text[start..ANSWER_ROOM_BYTES].copy_from_slice(head);
                Bytes::from(self.text).slice(start..)
            }
            None => [head, &self.text[ANSWER_ROOM_BYTES..]].concat().into(),
        }
    }
}

/// The answer `result` to the request `id`, with `array` in place of the empty array in the field `name`, and
/// what fills a null behind that. It is the first field of that name: no text can look like one, because a
/// quote in a text is escaped.
pub(super) fn response_around(
    id: &RequestId,
    result: &impl Serialize,
    name: &str,
    array: LongArray,
    filling: Option<Filling<'_>>,
) -> Bytes {
    let message = response(id, result);
    let lost = || {
        let error = RpcError::internal(format!("an answer has no place for its `{name}`"));
        error_response(Some(id), &error)
    };
    let Some((head, rest)) = split(&message, &format!("\"{name}\":"), "[]") else { return lost() };
    let Some((name, filling)) = filling else { return array.between(head, &[rest]) };
    match split(rest, &format!("\"{name}\":"), "null") {
        Some((between, rest)) => array.between(head, &[between, filling, rest]),
        None => lost(),
    }
}

/// What stands before and behind `hole`, where it first follows `key`; the key belongs to what is before.
fn split<'a>(text: &'a [u8], key: &str, hole: &str) -> Option<(&'a [u8], &'a [u8])> {
    let whole = [key, hole].concat();
    let at = text.windows(whole.len()).position(|window| window == whole.as_bytes())?;
    let (head, rest) = text.split_at(at + key.len());
    Some((head, &rest[hole.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn array(elements: &[Value]) -> LongArray {
        let mut array = LongArray::default();
        for element in elements {
            array.push(element).expect("it encodes");
        }
        array.fit();
        array
    }

    #[test]
    fn the_message_is_the_one_that_would_be_encoded_at_once() {
        let trap = "\"turns\":[]\\\"turns\":[]";
        let result = |turns: Value, page: Value| {
            let thread = json!({ "name": trap, "turns": turns });
            json!({ "a": thread, "page": page, "z": [{ "turns": [] }] })
        };
        for elements in
            [vec![], vec![json!({ "n": trap })], vec![json!(1), json!([2]), json!({ "turns": [] })]]
        {
            for page in [Value::Null, json!({ "data": ["page"] })] {
                let id = RequestId::from("\"turns\":[]");
                let encoded = page.to_string();
                let filling = (!page.is_null()).then_some(("page", encoded.as_bytes()));
                let empty = result(json!([]), Value::Null);
                let message = response_around(&id, &empty, "turns", array(&elements), filling);
                assert_eq!(message, response(&id, &result(json!(elements), page)));
            }
        }
    }

    #[test]
    fn a_head_without_room_is_no_loss() {
        for length in [ANSWER_ROOM_BYTES - 40, ANSWER_ROOM_BYTES, 2 * ANSWER_ROOM_BYTES] {
            let result = |list: Value| json!({ "head": "x".repeat(length), "list": list });
            let message = response_around(
                &1.into(),
                &result(json!([])),
                "list",
                array(&[json!(1)]),
                /*filling*/ None,
            );
            assert_eq!(message, response(&1.into(), &result(json!([1]))), "{length}");
        }
    }

    #[test]
    fn the_last_element_can_be_taken_out_and_another_put_in() {
        let mut array = array(&[json!(1), json!(2)]);
        array.pop();
        array.pop();
        array.push(&3).expect("it encodes");
        assert_eq!(array.between(b"", &[]), "[1,3]");
    }

    #[test]
    fn an_answer_without_a_place_for_it_is_an_error() {
        for filling in [None, Some(("page", &b"1"[..]))] {
            let result = if filling.is_some() { json!({ "list": [] }) } else { json!({}) };
            let message = response_around(&1.into(), &result, "list", array(&[]), filling);
            let message: Value = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(message["error"]["code"], -32603);
        }
    }
}

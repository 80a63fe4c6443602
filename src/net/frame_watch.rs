//! Follows the frame borders in a WebSocket's input without touching the payload.
//!
//! tungstenite takes its size limits when a read begins and reserves what a frame announces. This watch sees
//! each frame's header before tungstenite does: so the limit can change while a read waits (before and after
//! `initialize`), an announcement reserves nothing, and the reader can tell when no byte is left in
//! tungstenite's buffer, which is the moment to replace a buffer that one large message has blown up.

/// Bytes of the longest header from a client: two, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// The place in the frame structure after all bytes seen so far.
#[derive(Debug, Default)]
pub(crate) struct FrameWatch {
    header: [u8; HEADER_BYTES_MAX],
    header_seen: usize,
    payload_left: u64,
    frame_ends_message: bool,
    frame_is_data: bool,
    /// Bytes of the data message that is being received, with those that the current frame announces.
    message_bytes: u64,
    messages_ended: u64,
}

/// A frame announces a message above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// How many of the bytes come before that frame.
    pub(crate) good_bytes: usize,
}

impl FrameWatch {
    /// Goes over `bytes`, the next ones of the input. After an error the watch is of no use any more.
    pub(crate) fn see(&mut self, bytes: &[u8], message_bytes_max: usize) -> Result<(), TooLarge> {
        let mut at = 0;
        let mut frame_at = 0;
        while at < bytes.len() {
            if self.payload_left > 0 {
                let size = self.payload_left.min((bytes.len() - at) as u64);
                self.payload_left -= size;
                at += usize::try_from(size).unwrap_or(usize::MAX);
            } else {
                if self.header_seen == 0 {
                    frame_at = at;
                }
                self.header[self.header_seen] = bytes[at];
                self.header_seen += 1;
                at += 1;
                if self.header_seen < self.header_bytes() {
                    continue;
                }
                self.begin_frame(message_bytes_max).map_err(|()| TooLarge { good_bytes: frame_at })?;
            }
            if self.payload_left == 0 {
                self.end_frame();
            }
        }
        Ok(())
    }

    /// True if everything seen so far is whole messages, `taken` of them. A control frame counts as one.
    pub(crate) fn is_drained(&self, taken: u64) -> bool {
        let between_frames = self.header_seen == 0 && self.payload_left == 0;
        between_frames && self.message_bytes == 0 && self.messages_ended == taken
    }

    fn header_bytes(&self) -> usize {
        if self.header_seen < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn begin_frame(&mut self, message_bytes_max: usize) -> Result<(), ()> {
        let [first, second, rest @ ..] = &self.header;
        let announced = match second & 0x7F {
            126 => u64::from(u16::from_be_bytes([rest[0], rest[1]])),
            127 => rest[..8].iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
            small => u64::from(small),
        };
        self.frame_ends_message = first & 0x80 != 0;
        self.frame_is_data = first & 0x08 == 0;
        self.header_seen = 0;
        self.payload_left = announced;
        let whole = if self.frame_is_data {
            self.message_bytes = self.message_bytes.saturating_add(announced);
            self.message_bytes
        } else {
            announced
        };
        if whole > message_bytes_max as u64 { Err(()) } else { Ok(()) }
    }

    fn end_frame(&mut self) {
        if self.frame_ends_message {
            self.messages_ended += 1;
            if self.frame_is_data {
                self.message_bytes = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![first];
        match u16::try_from(length) {
            Ok(small) if small < 126 => bytes.push(0x80 | small.to_le_bytes()[0]),
            Ok(middle) => {
                bytes.push(0x80 | 126);
                bytes.extend(middle.to_be_bytes());
            }
            Err(_) => {
                bytes.push(0x80 | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes
    }

    #[test]
    fn borders_are_found_in_pieces_of_any_size() {
        let mut input = Vec::new();
        for (first, length) in [(0x81, 0), (0x81, 5), (0x01, 125), (0x89, 3), (0x80, 126), (0x81, 70_000)] {
            input.extend(frame(first, length));
        }
        for piece in [1, 2, 3, 5, 64, 1000, usize::MAX] {
            let mut watch = FrameWatch::default();
            for bytes in input.chunks(piece.min(input.len())) {
                watch.see(bytes, /*message_bytes_max*/ 70_000).expect("within the limit");
            }
            assert!(watch.is_drained(/*taken*/ 5), "piece {piece}: {watch:?}");
            watch.see(&input[..1], /*message_bytes_max*/ 70_000).expect("within the limit");
            assert!(!watch.is_drained(/*taken*/ 5), "piece {piece}: {watch:?}");
        }
    }

    #[test]
    fn the_limit_holds_for_the_sum_of_fragments_and_spares_what_came_before() {
        let mut input = frame(/*first*/ 0x81, /*length*/ 10);
        let before = input.len();
        input.extend(frame(/*first*/ 0x81, /*length*/ 11));
        assert_eq!(
            FrameWatch::default().see(&input, /*message_bytes_max*/ 10),
            Err(TooLarge { good_bytes: before })
        );
        let mut fragments = frame(/*first*/ 0x01, /*length*/ 6);
        fragments.extend(frame(/*first*/ 0x89, /*length*/ 9));
        let before = fragments.len();
        fragments.extend(frame(/*first*/ 0x80, /*length*/ 5));
        assert_eq!(
            FrameWatch::default().see(&fragments, /*message_bytes_max*/ 10),
            Err(TooLarge { good_bytes: before })
        );
        assert_eq!(FrameWatch::default().see(&fragments, /*message_bytes_max*/ 11), Ok(()));
        let huge = [0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4];
        assert_eq!(FrameWatch::default().see(&huge, usize::MAX), Ok(()));
        assert_eq!(FrameWatch::default().see(&huge, 64 << 20), Err(TooLarge { good_bytes: 0 }));
    }
}

//! The head of a frame.

use underpass_core::http::Close;

/// The longest head, bytes.
pub(super) const LONGEST: usize = 14;

/// The longest payload of a control frame, bytes.
pub(super) const LARGEST_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continue,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn read(bits: u8) -> Result<Self, Close> {
        match bits {
            0x0 => Ok(Opcode::Continue),
            0x1 => Ok(Opcode::Text),
            0x2 => Ok(Opcode::Binary),
            0x8 => Ok(Opcode::Close),
            0x9 => Ok(Opcode::Ping),
            0xA => Ok(Opcode::Pong),
            _ => Err(Close::new(1002, "a frame of an unknown kind")),
        }
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continue => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        match self {
            Opcode::Continue | Opcode::Text | Opcode::Binary => false,
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
        }
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether it is the last of its message.
    pub(super) last: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// Of its payload, bytes.
    pub(super) len: u64,
}

impl Header {
    /// Reads the head at the beginning of what came, and how long it is; none if it is not all there.
    ///
    /// # Errors
    /// No frame may begin so.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Close> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Close::new(1002, "a reserved bit is set"));
        }
        let (last, opcode) = (first & 0x80 != 0, Opcode::read(first & 0x0F)?);
        let (len, rest) = match second & 0x7F {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            len => (u64::from(len), rest),
        };
        let (mask, rest) = match (second & 0x80 != 0, rest.split_first_chunk()) {
            (false, _) => (None, rest),
            (true, Some((mask, rest))) => (Some(*mask), rest),
            (true, None) => return Ok(None),
        };
        if opcode.is_control() && !last {
            return Err(Close::new(1002, "a control frame in fragments"));
        }
        if opcode.is_control() && len > LARGEST_CONTROL as u64 {
            return Err(Close::new(1002, "a control frame that is too large"));
        }
        Ok(Some((Header { last, opcode, mask, len }, bytes.len() - rest.len())))
    }

    /// Writes it, and how long it is.
    pub(super) fn write(&self) -> ([u8; LONGEST], usize) {
        let mut bytes = [0; LONGEST];
        bytes[0] = u8::from(self.last) << 7 | self.opcode.bits();
        let mut end = match self.len {
            0..126 => {
                bytes[1] = self.len as u8;
                2
            }
            126..0x1_0000 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(self.len as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&self.len.to_be_bytes());
                10
            }
        };
        if let Some(mask) = self.mask {
            bytes[1] |= 0x80;
            bytes[end..end + 4].copy_from_slice(&mask);
            end += 4;
        }
        (bytes, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_and_no_part_of_it_is_one() {
        for len in [0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, u64::MAX] {
            for mask in [None, Some([1, 2, 3, 4])] {
                for last in [false, true] {
                    let header = Header { last, opcode: Opcode::Binary, mask, len };
                    let (bytes, end) = header.write();
                    assert_eq!(Header::read(&bytes[..end]), Ok(Some((header, end))));
                    assert_eq!(Header::read(&bytes), Ok(Some((header, end))), "with more behind it");
                    assert!((0..end).all(|end| Header::read(&bytes[..end]) == Ok(None)));
                }
            }
        }
    }

    #[test]
    fn what_may_not_begin_a_frame_does_not() {
        for bytes in [[0xC2, 0], [0x83, 0], [0x8B, 0], [0x09, 0], [0x08, 0]] {
            assert_eq!(Header::read(&bytes).unwrap_err().code, Some(1002), "{bytes:x?}");
        }
        assert_eq!(Header::read(&[0x89, 126, 0, 126]).unwrap_err().code, Some(1002));
    }
}

//! Reading bytes from outside: never beyond their end, and every number at most 64 bits.

use crate::error::{invalid, Error, Result};

/// A reader that never reads beyond its bytes.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        if n > self.bytes.len() as u64 {
            return Err(truncated());
        }
        let (taken, rest) = self.bytes.split_at(n as usize);
        self.bytes = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A count of things that take at least `size` bytes each.
    pub fn count(&mut self, size: u64) -> Result<u64> {
        let n = self.unsigned()?;
        if n > self.bytes.len() as u64 / size {
            return Err(truncated());
        }
        Ok(n)
    }

    pub fn prefixed(&mut self, limit: u64) -> Result<&'a [u8]> {
        let n = self.unsigned()?;
        if n > limit {
            return invalid("a field is too long");
        }
        self.take(n)
    }

    pub fn unsigned(&mut self) -> Result<u64> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        invalid("a number is too long")
    }

    pub fn signed(&mut self) -> Result<i64> {
        let mut value: i64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= i64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0 && shift + 7 < 64 {
                    value |= -1 << (shift + 7);
                }
                return Ok(value);
            }
        }
        invalid("a number is too long")
    }
}

pub fn truncated() -> Error {
    Error::InvalidChange("the bytes are truncated".into())
}

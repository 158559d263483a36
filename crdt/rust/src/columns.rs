//! The columns of a chunk, read value by value as they are: nothing is built of a run length.

use crate::error::{invalid, Result};
use crate::reader::{truncated, Reader};

enum Run<T> {
    Repeat(T, u64),
    Literal(u64),
    Null(u64),
}

/// A run-length encoded column. An empty one has no value in any row.
pub struct Runs<'a, T> {
    bytes: Reader<'a>,
    empty: bool,
    run: Run<T>,
    read: fn(&mut Reader<'a>) -> Result<T>,
}

impl<'a, T: Copy> Runs<'a, T> {
    fn new(column: &'a [u8], read: fn(&mut Reader<'a>) -> Result<T>) -> Self {
        Runs { bytes: Reader::new(column), empty: column.is_empty(), run: Run::Null(0), read }
    }

    /// The value of the next row, None where it has none.
    pub fn next(&mut self) -> Result<Option<T>> {
        if self.empty {
            return Ok(None);
        }
        loop {
            match &mut self.run {
                Run::Repeat(_, 0) | Run::Literal(0) | Run::Null(0) => self.run = self.next_run()?,
                Run::Repeat(value, left) => {
                    *left -= 1;
                    return Ok(Some(*value));
                }
                Run::Literal(left) => {
                    *left -= 1;
                    return (self.read)(&mut self.bytes).map(Some);
                }
                Run::Null(left) => {
                    *left -= 1;
                    return Ok(None);
                }
            }
        }
    }

    fn next_run(&mut self) -> Result<Run<T>> {
        let length = self.bytes.signed()?;
        match length {
            0 => match self.bytes.unsigned()? {
                0 => invalid("an empty run"),
                nulls => Ok(Run::Null(nulls)),
            },
            1.. => Ok(Run::Repeat((self.read)(&mut self.bytes)?, length as u64)),
            _ => Ok(Run::Literal(length.unsigned_abs())),
        }
    }

    /// Whether every row was read.
    pub fn at_end(&self) -> bool {
        let done = matches!(self.run, Run::Repeat(_, 0) | Run::Literal(0) | Run::Null(0));
        done && self.bytes.rest().is_empty()
    }
}

pub fn unsigned(column: &[u8]) -> Runs<'_, u64> {
    Runs::new(column, Reader::unsigned)
}

pub fn strings(column: &[u8]) -> Runs<'_, &str> {
    Runs::new(column, string)
}

fn string<'a>(bytes: &mut Reader<'a>) -> Result<&'a str> {
    match std::str::from_utf8(bytes.prefixed(u64::MAX)?) {
        Ok(text) => Ok(text),
        Err(_) => invalid("a string is not UTF-8"),
    }
}

/// A column of differences.
pub struct Deltas<'a> {
    steps: Runs<'a, i64>,
    sum: i64,
}

impl<'a> Deltas<'a> {
    pub fn new(column: &'a [u8]) -> Self {
        Deltas { steps: Runs::new(column, Reader::signed), sum: 0 }
    }

    pub fn next(&mut self) -> Result<Option<i64>> {
        let Some(step) = self.steps.next()? else {
            return Ok(None);
        };
        match self.sum.checked_add(step) {
            Some(sum) => {
                self.sum = sum;
                Ok(Some(sum))
            }
            None => invalid("a number is too large"),
        }
    }

    pub fn at_end(&self) -> bool {
        self.steps.at_end()
    }
}

/// A column of booleans: lengths of runs, the first of them of `false`. An empty one is false in every row.
pub struct Booleans<'a> {
    bytes: Reader<'a>,
    empty: bool,
    value: bool,
    left: u64,
}

impl<'a> Booleans<'a> {
    pub fn new(column: &'a [u8]) -> Self {
        Booleans { bytes: Reader::new(column), empty: column.is_empty(), value: true, left: 0 }
    }

    pub fn next(&mut self) -> Result<bool> {
        if self.empty {
            return Ok(false);
        }
        while self.left == 0 {
            if self.bytes.rest().is_empty() {
                return Err(truncated());
            }
            self.left = self.bytes.unsigned()?;
            self.value = !self.value;
        }
        self.left -= 1;
        Ok(self.value)
    }

    pub fn at_end(&self) -> bool {
        self.left == 0 && self.bytes.rest().is_empty()
    }
}

/// A value that must be there, and below 2^31.
pub fn number(value: Option<impl TryInto<u32>>) -> Result<u32> {
    match value.map(TryInto::try_into) {
        Some(Ok(number)) if number < 1 << 31 => Ok(number),
        Some(_) => invalid("a number is out of range"),
        None => invalid("a number is missing"),
    }
}

/// Whether these are the bytes of one value of this type, in the one way to write it.
pub fn check_value(kind: u64, bytes: &[u8]) -> Result<()> {
    let mut r = Reader::new(bytes);
    let fits = match kind {
        0..=2 => bytes.is_empty(),
        3 => r.unsigned().is_ok() && r.rest().is_empty() && (bytes.len() == 1 || bytes.last() != Some(&0)),
        4 | 8 | 9 => r.signed().is_ok() && r.rest().is_empty() && is_shortest_signed(bytes),
        5 => bytes.len() == 8,
        6 => std::str::from_utf8(bytes).is_ok(),
        _ => true,
    };
    match fits {
        true => Ok(()),
        false => invalid("a value that does not fit its type"),
    }
}

fn is_shortest_signed(bytes: &[u8]) -> bool {
    match bytes {
        [.., before, 0] => before & 0x40 != 0,
        [.., before, 0x7f] => before & 0x40 == 0,
        _ => true,
    }
}

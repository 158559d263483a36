//! Positions in a text: code points, and the units that others count in.
//!
//! The crate counts in code points. UTF-16 and UTF-8 units and graphemes (UAX #29) are found by walking
//! the text, in steps of whole chunks where that is possible.

use automerge::ObjId;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use crate::error::{Error, Result};

#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Utf8,
    Utf16,
    Grapheme,
}

impl<'py> FromPyObject<'_, 'py> for Unit {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<&str>()? {
            "utf8" => Ok(Unit::Utf8),
            "utf16" => Ok(Unit::Utf16),
            "grapheme" => Ok(Unit::Grapheme),
            other => Err(PyValueError::new_err(format!("{other:?} is no unit of text"))),
        }
    }
}

/// How many bytes are skipped at once.
const CHUNK: usize = 512;

/// A place between two characters, in every unit.
#[derive(Clone, Copy, Default)]
struct Spot {
    byte: usize,
    points: usize,
    units: usize,
}

/// A walk through a text from its start.
struct Walk<'t> {
    text: &'t str,
    unit: Unit,
    at: Spot,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str, unit: Unit) -> Self {
        Walk { text, unit, at: Spot::default() }
    }

    /// Where one more character, or grapheme, leads to; None at the end.
    fn next(&self) -> Option<Spot> {
        let Spot { byte, points, units } = self.at;
        let rest = &self.text[byte..];
        let first = rest.chars().next()?;
        let (bytes, chars, wide) = match self.unit {
            Unit::Utf8 => (first.len_utf8(), 1, first.len_utf8()),
            Unit::Utf16 => (first.len_utf8(), 1, first.len_utf16()),
            // Between two ASCII characters is a boundary, but for a line break of two.
            Unit::Grapheme if simple(rest.as_bytes()) => (1, 1, 1),
            Unit::Grapheme => {
                let cluster = rest.graphemes(true).next()?;
                (cluster.len(), cluster.chars().count(), 1)
            }
        };
        Some(Spot { byte: byte + bytes, points: points + chars, units: units + wide })
    }

    /// Where a whole chunk leads to, if the unit can be counted without looking at characters.
    fn next_chunk(&self) -> Option<Spot> {
        let mut end = self.at.byte + CHUNK;
        if self.unit == Unit::Grapheme || end > self.text.len() {
            return None;
        }
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let chunk = &self.text.as_bytes()[self.at.byte..end];
        let points = chunk.iter().filter(|byte| (**byte as i8) >= -0x40).count();
        let units = match self.unit {
            Unit::Utf8 => chunk.len(),
            _ => points + chunk.iter().filter(|byte| **byte >= 0xf0).count(),
        };
        Some(Spot { byte: end, points: self.at.points + points, units: self.at.units + units })
    }

    /// Go on, or begin anew, to the last place whose measure is not above the target.
    fn go(&mut self, target: usize, measure: fn(&Spot) -> usize) -> Spot {
        if measure(&self.at) > target {
            self.at = Spot::default();
        }
        while let Some(next) = self.next_chunk().filter(|next| measure(next) <= target) {
            self.at = next;
        }
        while let Some(next) = self.next().filter(|next| measure(next) <= target) {
            self.at = next;
        }
        self.at
    }
}

fn simple(bytes: &[u8]) -> bool {
    match bytes {
        [first] => first.is_ascii(),
        [b'\r', b'\n', ..] => false,
        [first, second, ..] => first.is_ascii() && second.is_ascii(),
        [] => false,
    }
}

/// The indexes of the code points at these offsets, which must not lie inside a character.
pub fn to_points(text: &str, unit: Unit, offsets: &[usize]) -> Result<Vec<usize>> {
    let mut walk = Walk::new(text, unit);
    let find = |offset: &usize| {
        let spot = walk.go(*offset, |spot| spot.units);
        if spot.units == *offset {
            return Ok(spot.points);
        }
        match spot.byte == text.len() {
            true => Err(Error::Index(format!("{offset} is beyond the length, {}", spot.units))),
            false => Err(Error::Value(format!("offset {offset} is inside a character"))),
        }
    };
    offsets.iter().map(find).collect()
}

/// The offsets of the code points at these indexes; inside a grapheme, where that begins.
pub fn from_points(text: &str, unit: Unit, indexes: &[usize]) -> Result<Vec<usize>> {
    let mut walk = Walk::new(text, unit);
    let find = |index: &usize| {
        let spot = walk.go(*index, |spot| spot.points);
        if spot.points < *index && spot.byte == text.len() {
            return Err(Error::Index(format!("{index} is beyond the length, {}", spot.points)));
        }
        Ok(spot.units)
    };
    indexes.iter().map(find).collect()
}

/// The length of a text.
pub fn length(text: &str, unit: Unit) -> usize {
    Walk::new(text, unit).go(usize::MAX, |spot| spot.units).units
}

/// The code points between which graphemes begin and end, the ends of the text included.
pub fn boundaries(text: &str) -> Vec<usize> {
    let mut walk = Walk::new(text, Unit::Grapheme);
    let mut found = vec![0];
    while let Some(next) = walk.next() {
        walk.at = next;
        found.push(next.points);
    }
    found
}

/// The boundaries of graphemes nearest to a code point: at or before it, and after it.
pub fn around(text: &str, index: usize) -> Result<(usize, usize)> {
    let mut walk = Walk::new(text, Unit::Grapheme);
    let spot = walk.go(index, |spot| spot.points);
    let after = walk.next().map_or(spot.points, |next| next.points);
    if index > after.max(spot.points) {
        return Err(Error::Index(format!("{index} is beyond the length, {}", spot.points)));
    }
    Ok((spot.points, after))
}

/// The content of one text, kept beside the document while positions in it are asked for in other
/// units: reading it anew from the crate takes milliseconds where it is long.
#[derive(Default)]
pub struct Mirror {
    of: Option<(ObjId, String)>,
}

impl Mirror {
    pub fn forget(&mut self) {
        self.of = None;
    }

    pub fn forget_text(&mut self, obj: &ObjId) {
        self.of.take_if(|(of, _)| of == obj);
    }

    pub fn keep(&mut self, obj: &ObjId, text: String) {
        self.of = Some((obj.clone(), text));
    }

    pub fn text(&self, obj: &ObjId) -> Option<&str> {
        self.of.as_ref().filter(|(of, _)| of == obj).map(|(_, text)| text.as_str())
    }

    /// Follow an edit of a text.
    pub fn splice(&mut self, obj: &ObjId, index: usize, delete: usize, insert: &str) {
        let Some((_, text)) = self.of.as_mut().filter(|(of, _)| of == obj) else {
            return;
        };
        match from_points(text, Unit::Utf8, &[index, index + delete]) {
            Ok(bytes) => text.replace_range(bytes[0]..bytes[1], insert),
            Err(_) => self.of = None,
        }
    }
}

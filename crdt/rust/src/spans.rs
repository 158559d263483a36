//! Rich text: runs of characters with their marks, and blocks.

use std::collections::BTreeMap;
use std::rc::Rc;

use automerge::{ObjId, ObjType, Prop, ReadDoc, ScalarValue, Value};

use crate::contents::Contents;
use crate::diff::{self, Token};
use crate::error::Result;
use crate::input::Input;
use crate::values::Output;
use crate::version::At;

/// What stands for a block in the plain form of a text.
pub const BLOCK: char = '\u{fffc}';

pub type Marks = BTreeMap<String, ScalarValue>;

/// A part of a rich text as it is read; of a block its object, or its content once that is read.
#[derive(Debug)]
pub enum Piece<B> {
    Text(String, Marks),
    Block(B),
}

impl<B> Piece<B> {
    pub fn block(&self) -> Option<&B> {
        match self {
            Piece::Text(..) => None,
            Piece::Block(block) => Some(block),
        }
    }
}

/// A part of a rich text as it is to be.
pub type NewPiece = Piece<Vec<(String, Input)>>;

/// The parts of a text in order; neighbours with the same marks are one.
pub fn read<D: ReadDoc>(doc: &D, obj: &ObjId, at: &At) -> Result<Vec<Piece<ObjId>>> {
    let text = at.text(doc, obj)?;
    let mut borders = Borders::of(doc, obj, at)?;
    let mut pieces = Vec::new();
    let mut run = (String::new(), Marks::new());
    for (index, c) in text.chars().enumerate() {
        if borders.pass(index) && run.1 != borders.active {
            flush(&mut run, &mut pieces);
            run.1.clone_from(&borders.active);
        }
        match (c == BLOCK).then(|| block_at(doc, obj, index, at)).transpose()?.flatten() {
            Some(block) => {
                flush(&mut run, &mut pieces);
                pieces.push(Piece::Block(block));
            }
            None => run.0.push(c),
        }
    }
    flush(&mut run, &mut pieces);
    Ok(pieces)
}

fn flush<B>(run: &mut (String, Marks), pieces: &mut Vec<Piece<B>>) {
    if !run.0.is_empty() {
        pieces.push(Piece::Text(std::mem::take(&mut run.0), run.1.clone()));
    }
}

/// The block at an index of a text, if there is one.
pub fn block_at<D: ReadDoc>(doc: &D, obj: &ObjId, index: usize, at: &At) -> Result<Option<ObjId>> {
    Ok(match at.get(doc, obj, Prop::Seq(index))? {
        Some((Value::Object(ObjType::Map), id)) => Some(id),
        _ => None,
    })
}

/// Where marks begin and end, and which are active.
struct Borders {
    /// (index, name, the value that begins there or None), by index, ends first; the next one last.
    ahead: Vec<(usize, String, Option<ScalarValue>)>,
    active: Marks,
}

impl Borders {
    fn of<D: ReadDoc>(doc: &D, obj: &ObjId, at: &At) -> Result<Self> {
        let mut ahead = Vec::new();
        for mark in at.marks(doc, obj)? {
            ahead.push((mark.start, mark.name.to_string(), Some(mark.value)));
            ahead.push((mark.end, mark.name.to_string(), None));
        }
        ahead.sort_by_key(|(index, _, value)| std::cmp::Reverse((*index, value.is_some())));
        Ok(Borders { ahead, active: Marks::new() })
    }

    /// Go on to an index; whether a border was there.
    fn pass(&mut self, index: usize) -> bool {
        let mut passed = false;
        while self.ahead.last().is_some_and(|(at, ..)| *at <= index) {
            passed = true;
            match self.ahead.pop() {
                Some((_, name, Some(value))) => drop(self.active.insert(name, value)),
                Some((_, name, None)) => drop(self.active.remove(&name)),
                None => {}
            }
        }
        passed
    }
}

/// Two rich texts as tokens: blocks with the same content have the same number, its place in `contents`.
pub struct Tokens<'t> {
    pub before: Vec<Token<'t>>,
    pub after: Vec<Token<'t>>,
    pub contents: Vec<&'t [(String, Input)]>,
}

pub fn tokens<'t>(old: &'t [Piece<Output>], new: &'t [NewPiece]) -> Tokens<'t> {
    let mut contents = Contents::default();
    let mut after = Vec::new();
    for piece in new {
        match piece {
            Piece::Text(text, _) => after.extend(diff::graphemes(text)),
            Piece::Block(content) => after.push(Token::Block(contents.add(content))),
        }
    }
    let mut before = Vec::new();
    for (i, piece) in old.iter().enumerate() {
        match piece {
            Piece::Text(text, _) => before.extend(diff::graphemes(text)),
            Piece::Block(content) => {
                before.push(Token::Block(contents.find(content).unwrap_or(usize::MAX - i)))
            }
        }
    }
    Tokens { before, after, contents: contents.all }
}

/// A mark to be set on a range; null takes it away.
#[derive(Debug, PartialEq)]
pub struct Stroke {
    pub name: String,
    pub value: ScalarValue,
    pub start: usize,
    pub end: usize,
}

/// The marks to set so that the places of a text, which have the marks `now`, have those of `wanted`.
/// A place without is a block, whose marks do not count.
pub fn strokes(now: &[Option<Rc<Marks>>], wanted: &[Option<Rc<Marks>>]) -> Vec<Stroke> {
    let mut strokes: Vec<Stroke> = Vec::new();
    // The last stroke of each name that the present place goes on from.
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for (index, places) in now.iter().zip(wanted).enumerate() {
        let (Some(have), Some(want)) = places else {
            continue;
        };
        let mut next = BTreeMap::new();
        for (name, value) in differences(have, want) {
            let at = match open.get(name).filter(|at| strokes[**at].value == *value) {
                Some(at) => *at,
                None => {
                    let (name, value) = (name.clone(), value.clone());
                    strokes.push(Stroke { name, value, start: index, end: index });
                    strokes.len() - 1
                }
            };
            strokes[at].end = index + 1;
            next.insert(name.clone(), at);
        }
        open = next;
    }
    strokes
}

/// The marks of every position of a text, None for a block.
pub fn places<B>(pieces: &[Piece<B>]) -> Vec<Option<Rc<Marks>>> {
    let mut places = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Block(_) => places.push(None),
            Piece::Text(text, marks) => {
                let marks = Rc::new(marks.clone());
                places.extend(text.chars().map(|_| Some(marks.clone())));
            }
        }
    }
    places
}

fn differences<'m>(have: &'m Marks, want: &'m Marks) -> Vec<(&'m String, &'m ScalarValue)> {
    if have == want {
        return Vec::new();
    }
    let mut all: Vec<_> = want.iter().filter(|(name, value)| have.get(*name) != Some(value)).collect();
    all.extend(have.keys().filter(|name| !want.contains_key(*name)).map(|name| (name, &ScalarValue::Null)));
    all.sort_by_key(|(name, _)| *name);
    all
}

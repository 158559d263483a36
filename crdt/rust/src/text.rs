//! Writing texts: characters, marks and blocks.

use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::Transactable;
use automerge::{ObjId, ObjType, Prop, ReadDoc};

use crate::chunk::MAX_OPERATIONS;
use crate::diff::{self, Token};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::input::{self, Input};
use crate::spans::{self, NewPiece, Piece};
use crate::values::{self, Output};
use crate::version::At;
use crate::writing::check_range;

/// At which edges of a mark text that is inserted there later takes it: before, after.
pub type Sides = (bool, bool);

impl Document {
    /// Delete `delete` code points at `index`, then insert `text` there.
    pub fn splice_text(&mut self, obj: &ObjId, index: usize, delete: usize, text: &str) -> Result<()> {
        // Bytes are at least as many as code points: enough to see that a short text fits.
        let most = text.len() as u64 + delete as u64;
        self.make_room(most.min(MAX_OPERATIONS))?;
        let tx = self.tx()?;
        // The crate looks for the place of an insertion before it changes anything; a deletion it does bit by bit.
        if delete > 0 || text.is_empty() || most > MAX_OPERATIONS {
            check_range(index, delete, tx.length(obj))?;
        }
        if most <= MAX_OPERATIONS {
            self.expect(obj, index, delete, text);
            self.tx()?.splice_text(obj, index, delete as isize, text)?;
            self.mirror.splice(obj, index, delete, text);
            return Ok(());
        }
        self.mirror.forget();
        let inserted = self.insert_pieces(obj, index, text)?;
        let mut left = delete;
        while left > 0 {
            let piece = left.min(MAX_OPERATIONS as usize);
            let tx = self.with_room(obj, piece as u64)?;
            tx.splice_text(obj, index + inserted, piece as isize, "")?;
            left -= piece;
        }
        Ok(())
    }

    /// Insert a long text as several changes; how many code points it has.
    fn insert_pieces(&mut self, obj: &ObjId, index: usize, text: &str) -> Result<usize> {
        let mut inserted = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let cut = rest.char_indices().nth(MAX_OPERATIONS as usize).map_or(rest.len(), |(at, _)| at);
            let (piece, tail) = rest.split_at(cut);
            let count = piece.chars().count();
            self.with_room(obj, count as u64)?.splice_text(obj, index + inserted, 0, piece)?;
            inserted += count;
            rest = tail;
        }
        Ok(inserted)
    }

    /// Change a text to `new` with few operations, which take no grapheme apart.
    pub fn update_text(&mut self, obj: &ObjId, new: &str) -> Result<()> {
        self.is_text(obj)?;
        let old = self.tx()?.text(obj)?;
        let old: Vec<_> = diff::graphemes(&old).collect();
        let new: Vec<_> = diff::graphemes(new).collect();
        let starts = starts(&old);
        for region in diff::diff(&old, &new).into_iter().rev() {
            let (start, end) = (starts[region.old.start], starts[region.old.end]);
            let text: String = new[region.new].iter().filter_map(text_of).collect();
            self.splice_text(obj, start, end - start, &text)?;
        }
        Ok(())
    }

    fn is_text(&mut self, obj: &ObjId) -> Result<()> {
        match self.tx()?.object_type(obj)? {
            ObjType::Text => Ok(()),
            _ => Err(Error::Type("not a text".into())),
        }
    }

    /// Mark a range of a text; a null value takes the mark away.
    pub fn mark(&mut self, obj: &ObjId, mark: Mark, sides: Sides) -> Result<()> {
        self.make_room(2)?;
        let tx = self.tx()?;
        if mark.start > mark.end {
            return Err(Error::Index("a mark ends before it begins".into()));
        }
        check_range(mark.start, mark.end - mark.start, tx.length(obj))?;
        self.note_mark(obj);
        let tx = self.tx()?;
        Ok(tx.mark(obj, mark, expand(sides))?)
    }

    /// Insert a block with this content; its object.
    pub fn split_block(&mut self, obj: &ObjId, index: usize, content: Vec<(String, Input)>) -> Result<ObjId> {
        self.is_text(obj)?;
        self.check_depth(obj, input::depth(&content))?;
        let tx = self.with_room(obj, 1)?;
        check_range(index, 0, tx.length(obj))?;
        let block = tx.split_block(obj, index)?;
        for (key, value) in content {
            self.put(&block, Prop::Map(key), value)?;
        }
        Ok(block)
    }

    fn block(&mut self, obj: &ObjId, index: usize) -> Result<ObjId> {
        self.is_text(obj)?;
        let tx = self.tx()?;
        check_range(index, 1, tx.length(obj))?;
        let found = spans::block_at(tx, obj, index, &At::default())?;
        found.ok_or_else(|| Error::Type(format!("at {index} is no block")))
    }

    /// Delete the block at an index.
    pub fn join_block(&mut self, obj: &ObjId, index: usize) -> Result<()> {
        self.block(obj, index)?;
        self.splice_text(obj, index, 1, "")
    }

    /// Put another block in the place of the one at an index; its object.
    pub fn replace_block(
        &mut self,
        obj: &ObjId,
        index: usize,
        content: Vec<(String, Input)>,
    ) -> Result<ObjId> {
        self.block(obj, index)?;
        let block = self.split_block(obj, index, content)?;
        self.splice_text(obj, index + 1, 1, "")?;
        Ok(block)
    }

    /// Make a rich text of other parts with few operations. `sides`: how the marks of a name expand.
    pub fn update_spans(
        &mut self,
        obj: &ObjId,
        new: Vec<NewPiece>,
        sides: impl Fn(&str) -> Sides,
    ) -> Result<()> {
        self.is_text(obj)?;
        for content in new.iter().filter_map(Piece::block) {
            self.check_depth(obj, input::depth(content))?;
        }
        let old = values::rich(self.tx()?, obj, &At::default())?;
        let spans::Tokens { before, after, contents } = spans::tokens(&old, &new);
        let starts = starts(&before);
        for region in diff::diff(&before, &after).into_iter().rev() {
            let (start, end) = (starts[region.old.start], starts[region.old.end]);
            match (&before[region.old], &after[region.new]) {
                ([Token::Block(_)], [Token::Block(new)]) => self.update_block(obj, start, contents[*new])?,
                (_, new) => {
                    let after = self.insert_tokens(obj, start, new, &contents)?;
                    self.splice_text(obj, after, end - start, "")?;
                }
            }
        }
        let now = spans::read(self.tx()?, obj, &At::default())?;
        for stroke in spans::strokes(&spans::places(&now), &spans::places(&new)) {
            let sides = sides(&stroke.name);
            self.mark(obj, Mark::new(stroke.name, stroke.value, stroke.start, stroke.end), sides)?;
        }
        Ok(())
    }

    /// Insert characters and blocks; the index after them.
    fn insert_tokens(
        &mut self,
        obj: &ObjId,
        mut index: usize,
        tokens: &[Token<'_>],
        contents: &[&[(String, Input)]],
    ) -> Result<usize> {
        for run in tokens.chunk_by(|a, b| matches!((a, b), (Token::Text(_), Token::Text(_)))) {
            if let [Token::Block(content)] = run {
                self.split_block(obj, index, contents[*content].to_vec())?;
            } else {
                let text: String = run.iter().filter_map(text_of).collect();
                self.splice_text(obj, index, 0, &text)?;
            }
            index += run.iter().map(Token::width).sum::<usize>();
        }
        Ok(index)
    }

    /// Make a block of another content, key by key.
    fn update_block(&mut self, obj: &ObjId, index: usize, content: &[(String, Input)]) -> Result<()> {
        let block = self.block(obj, index)?;
        let Output::Map(old) = values::plain(self.tx()?, &block, &At::default(), values::Form::Plain)? else {
            return Ok(());
        };
        for (key, _) in old.iter().filter(|(key, _)| content.iter().all(|(new, _)| new != key)) {
            self.delete(&block, Prop::Map(key.clone()))?;
        }
        for (key, value) in content {
            if !old.iter().any(|(known, was)| known == key && was.shows(value)) {
                self.put(&block, Prop::Map(key.clone()), value.clone())?;
            }
        }
        Ok(())
    }
}

/// Where each token begins, in code points, and where the last one ends.
fn starts(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut starts = vec![0];
    let mut end = 0;
    for token in tokens {
        end += token.width();
        starts.push(end);
    }
    starts
}

fn text_of<'t>(token: &Token<'t>) -> Option<&'t str> {
    match token {
        Token::Text(text) => Some(text),
        Token::Block(_) => None,
    }
}

fn expand((before, after): Sides) -> ExpandMark {
    match (before, after) {
        (true, true) => ExpandMark::Both,
        (true, false) => ExpandMark::Before,
        (false, true) => ExpandMark::After,
        (false, false) => ExpandMark::None,
    }
}

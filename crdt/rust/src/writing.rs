//! What is written in a transaction, to maps and lists.

use automerge::transaction::Transactable;
use automerge::{ObjId, Prop, ReadDoc, ScalarValue, Value};

use crate::chunk::MAX_OPERATIONS;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::input::Input;
use crate::values::MAX_DEPTH;

impl Document {
    /// Whether a value of a depth in an object stays within the depth to which documents nest.
    pub fn check_depth(&mut self, obj: &ObjId, own: usize) -> Result<()> {
        if own > 0 && self.tx()?.parents(obj)?.count() + own > MAX_DEPTH {
            return Err(Error::Value(format!("a document does not nest deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    pub fn put(&mut self, obj: &ObjId, prop: Prop, value: Input) -> Result<()> {
        self.check_depth(obj, value.depth())?;
        match value {
            Input::Scalar(scalar) => Ok(self.with_room(obj, 1)?.put(obj, prop, scalar)?),
            other if other.operations() <= MAX_OPERATIONS => {
                let tx = self.with_room(obj, other.operations())?;
                let is_list = matches!(prop, Prop::Seq(_));
                if is_list && tx.get(obj, prop.clone())?.is_none() {
                    return Err(Error::Index("index is out of range".into()));
                }
                tx.batch_create_object(obj, prop, &other.into_hydrate(), false)?;
                Ok(())
            }
            other => {
                let made = self.with_room(obj, 1)?.put_object(obj, prop, other.kind())?;
                self.fill(&made, other)
            }
        }
    }

    /// Write values to places: all of them, or none.
    pub fn put_all(&mut self, obj: &ObjId, items: Vec<(Prop, Input)>) -> Result<()> {
        items.iter().try_for_each(|(_, value)| self.check_depth(obj, value.depth()))?;
        items.into_iter().try_for_each(|(prop, value)| self.put(obj, prop, value))
    }

    pub fn insert(&mut self, obj: &ObjId, index: usize, value: Input) -> Result<()> {
        self.check_depth(obj, value.depth())?;
        match value {
            Input::Scalar(scalar) => Ok(self.with_room(obj, 1)?.insert(obj, index, scalar)?),
            other if other.operations() <= MAX_OPERATIONS => {
                let tx = self.with_room(obj, other.operations())?;
                tx.batch_create_object(obj, Prop::Seq(index), &other.into_hydrate(), true)?;
                Ok(())
            }
            other => {
                let made = self.with_room(obj, 1)?.insert_object(obj, index, other.kind())?;
                self.fill(&made, other)
            }
        }
    }

    /// Write the contents of a large value piece by piece.
    fn fill(&mut self, obj: &ObjId, value: Input) -> Result<()> {
        match value {
            Input::Scalar(_) => Ok(()),
            Input::Text(text) => self.splice_text(obj, 0, 0, &text),
            Input::Map(items) => {
                items.into_iter().try_for_each(|(key, item)| self.put(obj, Prop::Map(key), item))
            }
            Input::List(items) => {
                let numbered = items.into_iter().enumerate();
                numbered.into_iter().try_for_each(|(i, item)| self.insert(obj, i, item))
            }
        }
    }

    pub fn splice_list(
        &mut self,
        obj: &ObjId,
        index: usize,
        delete: usize,
        values: Vec<Input>,
    ) -> Result<()> {
        values.iter().try_for_each(|value| self.check_depth(obj, value.depth()))?;
        let total: u64 = values.iter().map(Input::operations).sum::<u64>() + delete as u64;
        let tx = self.with_room(obj, total)?;
        check_range(index, delete, tx.length(obj))?;
        if total <= MAX_OPERATIONS {
            let values: Vec<_> = values.into_iter().map(Input::into_hydrate).collect();
            return Ok(tx.splice(obj, index, delete as isize, values)?);
        }
        let count = values.len();
        for (i, value) in values.into_iter().enumerate() {
            self.insert(obj, index + i, value)?;
        }
        for _ in 0..delete {
            self.with_room(obj, 1)?.delete(obj, index + count)?;
        }
        Ok(())
    }

    pub fn delete(&mut self, obj: &ObjId, prop: Prop) -> Result<()> {
        let tx = self.with_room(obj, 1)?;
        if tx.get(obj, prop.clone())?.is_none() {
            return Err(match prop {
                Prop::Map(key) => Error::Key(key),
                Prop::Seq(_) => Error::Index("index is out of range".into()),
            });
        }
        Ok(tx.delete(obj, prop)?)
    }

    pub fn increment(&mut self, obj: &ObjId, prop: Prop, by: i64) -> Result<()> {
        let tx = self.with_room(obj, 1)?;
        if let Some((Value::Scalar(scalar), _)) = tx.get(obj, prop.clone())? {
            if let ScalarValue::Counter(counter) = scalar.as_ref() {
                i64::from(counter)
                    .checked_add(by)
                    .ok_or_else(|| Error::Overflow("a counter must fit 64 bits".into()))?;
            }
        }
        Ok(tx.increment(obj, prop, by)?)
    }
}

pub fn check_range(index: usize, delete: usize, length: usize) -> Result<()> {
    match index.checked_add(delete) {
        Some(end) if end <= length => Ok(()),
        _ => Err(Error::Index(format!("{index} + {delete} is beyond the length, {length}"))),
    }
}

//! The changes of a saved document: their order, their numbers, and what lies in the past of what.

use std::ops::Range;

use crate::chunk::{check_author, is_time, TIMES};
use crate::clock::{self, Clock};
use crate::columns::{check_value, number, strings, unsigned, Deltas};
use crate::error::{invalid, Result};
use crate::reader::Reader;
use crate::save::Columns;

/// Most parts of vector clocks to compare, and to hold at once, while the pasts are checked: a second, and 160 MB.
const MOST_COMPARED: u64 = 1 << 26;
const MOST_PARTS: usize = 1 << 20;

/// An operation: its counter and the index of its actor.
pub type Id = (u32, u32);

struct Node {
    actor: u32,
    seq: u32,
    max_op: u32,
    deps: Range<usize>,
}

pub struct Graph {
    nodes: Vec<Node>,
    deps: Vec<u32>,
    /// The changes of each actor, in order.
    by_actor: Vec<Vec<u32>>,
    /// Pairs of changes: the second must lie in the past of the first.
    needs: Vec<(u32, u32)>,
}

impl Graph {
    /// Read the columns of the changes of a document; at most `most` changes and dependencies.
    pub fn read(columns: &Columns<'_>, actors: usize, most: u64) -> Result<Graph> {
        let mut graph = Graph {
            nodes: Vec::new(),
            deps: Vec::new(),
            by_actor: vec![Vec::new(); actors],
            needs: Vec::new(),
        };
        columns.only(&[0x01, 0x03, 0x13, 0x23, 0x35, 0x40, 0x43, 0x56, 0x57])?;
        let mut actor = unsigned(columns.get(0x01));
        let (mut seq, mut max_op) = (Deltas::new(columns.get(0x03)), Deltas::new(columns.get(0x13)));
        let (mut time, mut message) = (Deltas::new(columns.get(0x23)), strings(columns.get(0x35)));
        let (mut count, mut dep) = (unsigned(columns.get(0x40)), Deltas::new(columns.get(0x43)));
        let (mut extra, mut bytes) = (unsigned(columns.get(0x56)), Reader::new(columns.get(0x57)));
        while !actor.at_end() {
            if graph.nodes.len() as u64 >= most {
                return invalid("too many changes");
            }
            let (actor, seq, max_op) =
                (number(actor.next()?)?, number(seq.next()?)?, number(max_op.next()?)?);
            let first = graph.deps.len();
            for _ in 0..count.next()?.unwrap_or(0) {
                if graph.deps.len() as u64 >= most {
                    return invalid("too many dependencies");
                }
                graph.deps.push(number(dep.next()?)?);
            }
            graph.add(Node { actor, seq, max_op, deps: first..graph.deps.len() })?;
            if time.next()?.is_some_and(|time| !is_time(time)) {
                return invalid(TIMES);
            }
            message.next()?;
            let meta = extra.next()?.unwrap_or(7);
            let bytes = bytes.take(meta >> 4)?;
            check_value(meta & 15, bytes)?;
            check_author(u64::from(seq), bytes)?;
        }
        let ended = seq.at_end() && max_op.at_end() && time.at_end() && message.at_end() && count.at_end();
        if !ended || !dep.at_end() || !extra.at_end() || !bytes.rest().is_empty() {
            return invalid("the columns of the changes are not of one length");
        }
        Ok(graph)
    }

    fn add(&mut self, node: Node) -> Result<()> {
        let index = self.nodes.len() as u32;
        let deps = &self.deps[node.deps.clone()];
        if deps.iter().any(|dep| *dep >= index) {
            return invalid("a change before one that it builds on");
        }
        let mut sorted = deps.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return invalid("a dependency twice");
        }
        let Some(earlier) = self.by_actor.get_mut(node.actor as usize) else {
            return invalid("a change of no actor");
        };
        if node.seq as usize != earlier.len() + 1 {
            return invalid("the changes of an actor are not numbered from 1");
        }
        if let Some(last) = earlier.last() {
            if !deps.contains(last) {
                self.needs.push((index, *last));
            }
        }
        earlier.push(index);
        self.nodes.push(node);
        Ok(())
    }

    /// Whether an actor is named that has written nothing.
    pub fn has_idle_actors(&self) -> bool {
        self.by_actor.iter().any(Vec::is_empty)
    }

    /// Take note that one operation refers to another, which must lie in its past.
    pub fn refer(&mut self, from: Id, to: Id) -> Result<()> {
        if to >= from {
            return invalid("an operation refers to a later one");
        }
        // An actor's own earlier operations lie in its past, as each of its changes follows the one before.
        if from.1 != to.1 {
            let pair = (self.change_of(from)?, self.change_of(to)?);
            if self.needs.last() != Some(&pair) {
                self.needs.push(pair);
            }
        }
        Ok(())
    }

    fn change_of(&self, id: Id) -> Result<u32> {
        let changes = self.by_actor.get(id.1 as usize).map_or(&[][..], Vec::as_slice);
        let at = changes.partition_point(|change| self.nodes[*change as usize].max_op < id.0);
        match changes.get(at) {
            Some(change) => Ok(*change),
            None => invalid("an operation of no change"),
        }
    }

    pub fn same_change(&self, one: Id, other: Id) -> Result<bool> {
        Ok(one.1 == other.1 && self.change_of(one)? == self.change_of(other)?)
    }

    /// Whether these are the ids of all operations: each once, in each change without a gap, and above its past.
    pub fn number(&self, mut ids: Vec<(u32, u32)>) -> Result<()> {
        ids.sort_unstable_by_key(|(counter, actor)| (*actor, *counter));
        let mut ids = ids.into_iter().peekable();
        for (actor, changes) in self.by_actor.iter().enumerate() {
            for node in changes.iter().map(|change| &self.nodes[*change as usize]) {
                let past = self.deps[node.deps.clone()].iter().map(|dep| self.nodes[*dep as usize].max_op);
                let past = past.max().unwrap_or(0);
                let mut last = None;
                while let Some((counter, _)) = ids.next_if(|id| id.1 as usize == actor && id.0 <= node.max_op)
                {
                    if last.map_or(counter <= past, |last| counter != last + 1) {
                        return invalid("the operations of a change are not numbered on from its past");
                    }
                    last = Some(counter);
                }
                if last.unwrap_or(past) != node.max_op {
                    return invalid("the last operation of a change is not there");
                }
            }
        }
        match ids.next() {
            None => Ok(()),
            Some(_) => invalid("an operation of no change"),
        }
    }

    /// Whether everything that was referred to lies in the past of what refers to it.
    ///
    /// Vector clocks, computed in the order of the changes and dropped after their last use.
    pub fn check_pasts(mut self) -> Result<()> {
        self.needs.sort_unstable();
        self.needs.dedup();
        let Some((last, _)) = self.needs.last() else {
            return Ok(());
        };
        let mut clocks = Clocks::new(&self.deps, self.nodes.len());
        let mut needs = self.needs.iter().peekable();
        for (index, node) in self.nodes[..=*last as usize].iter().enumerate() {
            let mut clock = clocks.join(&self.deps[node.deps.clone()])?;
            while let Some((_, past)) = needs.next_if(|(change, _)| *change as usize == index) {
                let past = &self.nodes[*past as usize];
                if clock.last(past.actor) < u64::from(past.seq) {
                    return invalid("an operation refers to one that is not in its past");
                }
            }
            clock.raise(node.actor, u64::from(node.seq));
            clocks.keep(index, clock);
        }
        Ok(())
    }

    /// Where a change stands.
    pub fn index(&self, actor: usize, seq: u64) -> Option<usize> {
        let change = self.by_actor.get(actor)?.get(usize::try_from(seq).ok()?.checked_sub(1)?)?;
        Some(*change as usize)
    }

    /// Which changes lie in the past of some, these included.
    pub fn past(&self, of: impl Iterator<Item = usize>) -> Vec<bool> {
        let mut past = vec![false; self.nodes.len()];
        of.for_each(|change| past[change] = true);
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if past[index] {
                self.deps[node.deps.clone()].iter().for_each(|dep| past[*dep as usize] = true);
            }
        }
        past
    }

    /// Which changes some of them build on.
    pub fn built_on(&self, some: &[bool]) -> Vec<bool> {
        let mut found = vec![false; self.nodes.len()];
        for (_, node) in self.nodes.iter().enumerate().filter(|(index, _)| some[*index]) {
            self.deps[node.deps.clone()].iter().for_each(|dep| found[*dep as usize] = true);
        }
        found
    }

    /// The last operation of each actor in some of the changes; none if it has no change among them.
    pub fn last_operations(&self, some: &[bool]) -> Vec<Option<u32>> {
        let last = |changes: &Vec<u32>| {
            let change = changes.iter().rev().find(|change| some[**change as usize])?;
            Some(self.nodes[*change as usize].max_op)
        };
        self.by_actor.iter().map(last).collect()
    }

    /// How many dependencies the changes have together.
    pub fn dependencies(&self) -> usize {
        self.deps.len()
    }

    /// Whether any change has several dependencies, whose order then matters.
    pub fn has_merges(&self) -> bool {
        self.nodes.iter().any(|node| node.deps.len() > 1)
    }
}

/// The clock of each change that a later one still builds on.
struct Clocks {
    clocks: Vec<Option<Clock>>,
    uses: Vec<u32>,
    compared: u64,
}

impl Clocks {
    fn new(deps: &[u32], changes: usize) -> Self {
        let mut uses = vec![0; changes];
        deps.iter().for_each(|dep| uses[*dep as usize] += 1);
        Clocks { clocks: vec![None; changes], uses, compared: 0 }
    }

    /// The clock of a change with these dependencies.
    fn join(&mut self, deps: &[u32]) -> Result<Clock> {
        let mut joined: Option<Clock> = None;
        for dep in deps {
            let dep = *dep as usize;
            self.uses[dep] -= 1;
            let clock = match self.uses[dep] {
                0 => self.clocks[dep].take(),
                _ => self.clocks[dep].clone(),
            };
            let clock = clock.unwrap_or_default();
            match &mut joined {
                None => joined = Some(clock),
                Some(joined) => self.compared += joined.join(clock),
            }
            if self.compared > MOST_COMPARED || clock::parts() > MOST_PARTS {
                return invalid("the history is too tangled to be checked");
            }
        }
        Ok(joined.unwrap_or_default())
    }

    fn keep(&mut self, change: usize, clock: Clock) {
        if self.uses[change] > 0 {
            self.clocks[change] = Some(clock);
        }
    }
}

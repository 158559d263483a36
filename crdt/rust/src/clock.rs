//! Vector clocks that share what they have in common.

use std::cell::Cell;
use std::rc::Rc;

const WIDTH_BITS: u32 = 4;
const WIDTH: usize = 1 << WIDTH_BITS;

thread_local! {
    static PARTS: Cell<usize> = const { Cell::new(0) };
}

/// How many parts all clocks of this thread have, each counted once: some 150 bytes each.
pub fn parts() -> usize {
    PARTS.get()
}

/// For each actor the last seq that is in a past.
///
/// A tree over the bits of the actors' numbers, whose parts are never changed once they are shared: a copy costs nothing,
/// and one that was raised has a few parts of its own. So clocks take memory in proportion to the changes that they
/// are of, also where each change is of another actor.
#[derive(Clone, Default)]
pub struct Clock {
    root: Option<Rc<Node>>,
    /// How many levels lie below the root.
    height: u32,
}

impl Clock {
    /// The last seq of an actor, 0 for none.
    pub fn last(&self, actor: u32) -> u64 {
        let mut node = self.root.as_deref().filter(|_| self.covers(actor));
        let mut level = self.height;
        loop {
            match node.map(|node| &node.content) {
                None => return 0,
                Some(Content::Seqs(seqs)) => return seqs[place(actor, 0)],
                Some(Content::Nodes(nodes)) => node = nodes[place(actor, level)].as_deref(),
            }
            level = level.saturating_sub(1);
        }
    }

    /// Count a change of an actor, and so all before it.
    pub fn raise(&mut self, actor: u32, seq: u64) {
        while !self.covers(actor) {
            self.grow();
        }
        let (mut node, mut level) = (&mut self.root, self.height);
        loop {
            let made = node.get_or_insert_with(|| Node::empty(level));
            match &mut Rc::make_mut(made).content {
                Content::Seqs(seqs) => {
                    let last = &mut seqs[place(actor, 0)];
                    *last = seq.max(*last);
                    return;
                }
                Content::Nodes(nodes) => node = &mut nodes[place(actor, level)],
            }
            level = level.saturating_sub(1);
        }
    }

    /// Count everything that another clock counts; how many parts were compared for it.
    pub fn join(&mut self, mut other: Clock) -> u64 {
        while self.height < other.height {
            self.grow();
        }
        while other.height < self.height {
            other.grow();
        }
        let mut compared = 0;
        self.root = joined(self.root.take(), other.root, &mut compared);
        compared
    }

    fn covers(&self, actor: u32) -> bool {
        u64::from(actor) >> (WIDTH_BITS * (self.height + 1)) == 0
    }

    fn grow(&mut self) {
        self.height += 1;
        if let Some(root) = self.root.take() {
            let mut nodes = [const { None }; WIDTH];
            nodes[0] = Some(root);
            self.root = Some(Node::of(Content::Nodes(nodes)));
        }
    }
}

struct Node {
    content: Content,
}

#[derive(Clone)]
enum Content {
    /// The last seqs of neighbouring actors, 0 for none.
    Seqs([u64; WIDTH]),
    Nodes([Option<Rc<Node>>; WIDTH]),
}

impl Node {
    fn of(content: Content) -> Rc<Self> {
        PARTS.set(PARTS.get() + 1);
        Rc::new(Node { content })
    }

    fn empty(level: u32) -> Rc<Self> {
        Node::of(match level {
            0 => Content::Seqs([0; WIDTH]),
            _ => Content::Nodes([const { None }; WIDTH]),
        })
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        PARTS.set(PARTS.get() + 1);
        Node { content: self.content.clone() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        PARTS.set(PARTS.get() - 1);
    }
}

impl Content {
    /// Whether it has the same seqs, or the very same nodes.
    fn is(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Seqs(some), Content::Seqs(others)) => some == others,
            (Content::Nodes(some), Content::Nodes(others)) => {
                some.iter().zip(others).all(|(a, b)| a.as_ref().map(Rc::as_ptr) == b.as_ref().map(Rc::as_ptr))
            }
            _ => false,
        }
    }
}

/// Which part of a node an actor is in.
fn place(actor: u32, level: u32) -> usize {
    (actor >> (WIDTH_BITS * level)) as usize & (WIDTH - 1)
}

/// What counts all that two nodes of one level count: one of the two where that does, so that it stays shared.
fn joined(one: Option<Rc<Node>>, other: Option<Rc<Node>>, compared: &mut u64) -> Option<Rc<Node>> {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) if !Rc::ptr_eq(&one, &other) => (one, other),
        (one, other) => return one.or(other),
    };
    *compared += 1;
    let content = match (&one.content, &other.content) {
        (Content::Seqs(some), Content::Seqs(others)) => {
            Content::Seqs(std::array::from_fn(|i| some[i].max(others[i])))
        }
        (Content::Nodes(some), Content::Nodes(others)) => {
            Content::Nodes(std::array::from_fn(|i| joined(some[i].clone(), others[i].clone(), compared)))
        }
        _ => return Some(one),
    };
    let known = [one, other].into_iter().find(|node| node.content.is(&content));
    Some(known.unwrap_or_else(|| Node::of(content)))
}

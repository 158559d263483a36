//! The difference of two sequences of tokens, as the regions that changed.
//!
//! Small differences are minimal: the greedy algorithm of E. W. Myers, "An O(ND) Difference Algorithm
//! and Its Variations" (1986). Its time grows with the square of the difference, so beyond a bound
//! lines are compared first, then words, and what is left gives way as a whole.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Most single insertions and deletions that are looked for at once.
const MOST_EDITS: usize = 500;

/// A part of the old sequence that gave way to a part of the new one.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    pub old: Range<usize>,
    pub new: Range<usize>,
}

/// What a text is made of: a grapheme, or a block by the number of its content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'t> {
    Text(&'t str),
    Block(usize),
}

impl Token<'_> {
    fn ends_line(&self) -> bool {
        matches!(self, Token::Block(_) | Token::Text("\n" | "\r\n"))
    }

    fn ends_word(&self) -> bool {
        match self {
            Token::Block(_) => true,
            Token::Text(text) => !text.starts_with(char::is_alphanumeric),
        }
    }

    /// How many code points it takes up.
    pub fn width(&self) -> usize {
        match self {
            Token::Text(text) => text.chars().count(),
            Token::Block(_) => 1,
        }
    }
}

/// What is compared when single tokens differ too much.
#[derive(Clone, Copy)]
enum Coarse {
    Lines,
    Words,
    Nothing,
}

impl Coarse {
    fn finer(self) -> Coarse {
        match self {
            Coarse::Lines => Coarse::Words,
            _ => Coarse::Nothing,
        }
    }

    /// Cut tokens into groups, each a range.
    fn groups(self, tokens: &[Token<'_>]) -> Vec<Range<usize>> {
        let ends = |token: &Token<'_>| match self {
            Coarse::Lines => token.ends_line(),
            Coarse::Words => token.ends_word(),
            Coarse::Nothing => false,
        };
        let mut groups = Vec::new();
        let mut start = 0;
        for (i, token) in tokens.iter().enumerate() {
            if ends(token) || i + 1 == tokens.len() {
                groups.push(start..i + 1);
                start = i + 1;
            }
        }
        groups
    }
}

/// The graphemes of a text.
pub fn graphemes(text: &str) -> impl Iterator<Item = Token<'_>> {
    text.graphemes(true).map(Token::Text)
}

/// The regions in which two sequences differ, in order.
pub fn diff(old: &[Token<'_>], new: &[Token<'_>]) -> Vec<Region> {
    let mut regions = Vec::new();
    refine(old, new, (0, 0), Coarse::Lines, &mut regions);
    regions
}

fn refine(
    mut old: &[Token<'_>],
    mut new: &[Token<'_>],
    mut base: (usize, usize),
    coarse: Coarse,
    out: &mut Vec<Region>,
) {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    (old, new, base) = (&old[head..], &new[head..], (base.0 + head, base.1 + head));
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    if old.is_empty() && new.is_empty() {
        return;
    }
    let whole = Region { old: 0..old.len(), new: 0..new.len() };
    let moved = |r: Region| Region {
        old: r.old.start + base.0..r.old.end + base.0,
        new: r.new.start + base.1..r.new.end + base.1,
    };
    if old.is_empty() || new.is_empty() {
        out.push(moved(whole));
    } else if let Some(regions) = myers(old, new) {
        out.extend(regions.into_iter().map(moved));
    } else if matches!(coarse, Coarse::Nothing) {
        out.push(moved(whole));
    } else {
        let (olds, news) = (coarse.groups(old), coarse.groups(new));
        for region in by_group(old, new, &olds, &news).unwrap_or_else(|| vec![whole]) {
            let base = (base.0 + region.old.start, base.1 + region.new.start);
            refine(&old[region.old], &new[region.new], base, coarse.finer(), out);
        }
    }
}

/// The regions in which groups of tokens differ, in tokens.
fn by_group(
    old: &[Token<'_>],
    new: &[Token<'_>],
    olds: &[Range<usize>],
    news: &[Range<usize>],
) -> Option<Vec<Region>> {
    let old_groups: Vec<_> = olds.iter().map(|range| &old[range.clone()]).collect();
    let new_groups: Vec<_> = news.iter().map(|range| &new[range.clone()]).collect();
    let start = |groups: &[Range<usize>], i: usize, end: usize| groups.get(i).map_or(end, |r| r.start);
    let in_tokens = |r: Region| Region {
        old: start(olds, r.old.start, old.len())..start(olds, r.old.end, old.len()),
        new: start(news, r.new.start, new.len())..start(news, r.new.end, new.len()),
    };
    Some(myers(&old_groups, &new_groups)?.into_iter().map(in_tokens).collect())
}

/// The fewest insertions and deletions, None if they are more than `MOST_EDITS`.
fn myers<T: PartialEq>(old: &[T], new: &[T]) -> Option<Vec<Region>> {
    let (n, m) = (old.len() as isize, new.len() as isize);
    let most = MOST_EDITS.min(old.len() + new.len()) as isize;
    let at = |k: isize| (k + most + 1) as usize;
    let mut furthest = vec![0isize; (2 * most + 3) as usize];
    let mut trace: Vec<Vec<isize>> = Vec::new();
    for d in 0..=most {
        trace.push(furthest[at(-d)..=at(d)].to_vec());
        for k in (-d..=d).step_by(2) {
            let down = k == -d || (k != d && furthest[at(k - 1)] < furthest[at(k + 1)]);
            let mut x = if down { furthest[at(k + 1)] } else { furthest[at(k - 1)] + 1 };
            while x < n && x - k < m && old[x as usize] == new[(x - k) as usize] {
                x += 1;
            }
            furthest[at(k)] = x;
            if x >= n && x - k >= m {
                return Some(walk_back(&trace, n, m));
            }
        }
    }
    None
}

fn walk_back(trace: &[Vec<isize>], n: isize, m: isize) -> Vec<Region> {
    let (mut x, mut y) = (n, m);
    let mut regions: Vec<Region> = Vec::new();
    for (d, furthest) in trace.iter().enumerate().skip(1).rev() {
        let d = d as isize;
        let at = |k: isize| furthest[(k + d) as usize];
        let k = x - y;
        let down = k == -d || (k != d && at(k - 1) < at(k + 1));
        let (from_x, from_k) = if down { (at(k + 1), k + 1) } else { (at(k - 1), k - 1) };
        let from_y = from_x - from_k;
        // One step, then a run of equal tokens that leads to (x, y).
        let (to_x, to_y) = if down { (from_x, from_y + 1) } else { (from_x + 1, from_y) };
        let step = Region { old: from_x as usize..to_x as usize, new: from_y as usize..to_y as usize };
        match regions.last_mut() {
            Some(next) if next.old.start == step.old.end && next.new.start == step.new.end => {
                next.old.start = step.old.start;
                next.new.start = step.new.start;
            }
            _ => regions.push(step),
        }
        (x, y) = (from_x, from_y);
    }
    regions.reverse();
    regions
}

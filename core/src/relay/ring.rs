//! Rings of entries that are linked through a slab: joining, leaving and taking turns are O(1), nothing is allocated.

use slab::Slab;

/// The neighbours of an entry in a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    before: usize,
    after: usize,
}

/// Where an entry keeps its links of one of the rings that it is in.
pub(super) type LinksOf<Entry> = fn(&mut Entry) -> &mut Links;

/// Puts an entry at the end of a ring. `first` is where the ring begins, if it has entries.
pub(super) fn join<Entry>(slab: &mut Slab<Entry>, links: LinksOf<Entry>, first: &mut Option<usize>, entry: usize) {
    let Some(head) = *first else {
        *links(&mut slab[entry]) = Links { before: entry, after: entry };
        *first = Some(entry);
        return;
    };
    let last = links(&mut slab[head]).before;
    *links(&mut slab[entry]) = Links { before: last, after: head };
    links(&mut slab[last]).after = entry;
    links(&mut slab[head]).before = entry;
}

/// Takes an entry out of its ring.
pub(super) fn leave<Entry>(slab: &mut Slab<Entry>, links: LinksOf<Entry>, first: &mut Option<usize>, entry: usize) {
    let Links { before, after } = *links(&mut slab[entry]);
    if after == entry {
        *first = None;
        return;
    }
    links(&mut slab[before]).after = after;
    links(&mut slab[after]).before = before;
    if *first == Some(entry) {
        *first = Some(after);
    }
}

/// The entry behind another.
pub(super) fn after<Entry>(slab: &mut Slab<Entry>, links: LinksOf<Entry>, entry: usize) -> usize {
    links(&mut slab[entry]).after
}

/// All entries of a ring, in order.
pub(super) fn all<Entry>(slab: &mut Slab<Entry>, links: LinksOf<Entry>, first: Option<usize>) -> Vec<usize> {
    let Some(first) = first else { return Vec::new() };
    let mut entries = vec![first];
    let mut next = after(slab, links, first);
    while next != first {
        entries.push(next);
        next = after(slab, links, next);
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: LinksOf<Links> = |entry| entry;

    #[test]
    fn who_leaves_a_ring_leaves_the_others_in_order() {
        for leaves in 0..4 {
            let mut slab: Slab<Links> = (0..4).map(|entry| (entry, Links::default())).collect();
            let mut first = None;
            for entry in 0..4 {
                join(&mut slab, LINKS, &mut first, entry);
            }
            assert_eq!(all(&mut slab, LINKS, first), [0, 1, 2, 3]);
            leave(&mut slab, LINKS, &mut first, leaves);
            let left: Vec<_> = (0..4).filter(|entry| *entry != leaves).collect();
            assert_eq!(all(&mut slab, LINKS, first), left);
            for entry in left {
                leave(&mut slab, LINKS, &mut first, entry);
            }
            assert_eq!(first, None);
        }
    }
}

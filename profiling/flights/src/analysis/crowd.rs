//! [`Crowd`]: counts conflicts among many aircraft in little space.
//!
//! A crowd of n aircraft within 5 NM has n (n - 1) / 2 pairs in conflict, too many to visit. So the
//! crowd is counted in bulk:
//!
//! 1. Aircraft at one place, height included, are one *group*.
//! 2. Groups are the leaves of a tree that halves them along the axis in which they spread most,
//!    measured in separations. Each node knows the box round its groups.
//! 3. Two nodes whose boxes are close enough for all their pairs, or too far apart for any, are
//!    counted at once. Others are split, down to single groups.
//!
//! The boxes are decided upon with the arithmetic that decides upon pairs, so the count equals that
//! of comparing all pairs.
//!
//! Cost for n aircraft in m groups: n log n to build the tree. Counting visits the nodes that the
//! edge of an aircraft's separation crosses: none for a crowd that is smaller than the separation,
//! about m^(3/2) for one that spreads evenly over the ground, and m^(5/3) if it also does in
//! height. Memory is linear, at most 90 bytes for each aircraft.

use std::ops::Range;

use super::separation::{
    ConflictPair, Entry, Extent, PAIRS_LISTED_MAX, Place, Relation, SEPARATION_FT, Separation,
};

/// Groups of a node that isn't split.
const LEAF_GROUPS: usize = 8;

/// Aircraft at one place.
#[derive(Debug, Clone, Copy)]
struct Group {
    place: Place,
    /// Its first aircraft among all entries; the others follow, by ascending id.
    first: u32,
    count: u32,
    /// Whether they are in conflict with each other or with another aircraft.
    in_conflict: bool,
}

impl Group {
    fn members(&self) -> Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// A range of groups.
#[derive(Debug, Clone, Copy)]
struct Node {
    extent: Extent,
    aircraft: u64,
    first: u32,
    end: u32,
    /// The node of the second half; that of the first follows this one. Zero for a leaf.
    second: u32,
    /// Whether each of its aircraft is in conflict with another.
    in_conflict: bool,
}

impl Node {
    fn groups(&self) -> Range<usize> {
        self.first as usize..self.end as usize
    }

    fn is_leaf(&self) -> bool {
        self.second == 0
    }
}

/// The tree over a crowd, and lists that are kept from one crowd to the next.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    separation: Separation,
    groups: Vec<Group>,
    nodes: Vec<Node>,
    /// Id and entry of each aircraft in conflict, by ascending id.
    in_conflict: Vec<(u64, u32)>,
    /// Ids of those in conflict with one aircraft.
    others: Vec<u64>,
}

impl Crowd {
    /// Lists for a crowd of up to `aircraft`.
    pub(super) fn with_capacity(separation: Separation, aircraft: usize) -> Self {
        Self {
            separation,
            groups: Vec::with_capacity(aircraft),
            // A leaf has more than half of the groups that it may have, unless it is the root.
            nodes: Vec::with_capacity(aircraft / (LEAF_GROUPS / 4) + 1),
            in_conflict: Vec::with_capacity(aircraft),
            others: Vec::with_capacity(aircraft),
        }
    }

    /// Counts all pairs in conflict among `entries`, in which aircraft at one place must
    /// stand side by side, by ascending id. Fills `ids` with the ids of all aircraft in conflict,
    /// and `pairs` with the first [`PAIRS_LISTED_MAX`] pairs, both ascending.
    pub(super) fn count(
        &mut self,
        entries: &[Entry],
        ids: &mut Vec<u64>,
        pairs: &mut Vec<ConflictPair>,
    ) -> u64 {
        self.gather(entries);
        self.nodes.clear();
        ids.clear();
        pairs.clear();
        if self.groups.is_empty() {
            return 0;
        }
        self.build(0..self.groups.len());
        let count = self.count_within(0);
        self.list_ids(entries, ids);
        self.list_pairs(entries, pairs);
        count
    }

    /// The capacities of all lists.
    #[cfg(test)]
    pub(super) fn capacities(&self) -> [usize; 4] {
        let Self { groups, nodes, in_conflict, others, .. } = self;
        [groups.capacity(), nodes.capacity(), in_conflict.capacity(), others.capacity()]
    }

    /// Fills `groups`.
    fn gather(&mut self, entries: &[Entry]) {
        self.groups.clear();
        for (index, entry) in entries.iter().enumerate() {
            let place = entry.place();
            match self.groups.last_mut() {
                Some(group) if group.place.bits() == place.bits() => {
                    group.count += 1;
                    group.in_conflict = true;
                }
                _ => self.groups.push(Group {
                    place,
                    first: index as u32,
                    count: 1,
                    in_conflict: false,
                }),
            }
        }
    }

    /// Appends the node of a range of groups, which isn't empty, and all nodes below it.
    fn build(&mut self, range: Range<usize>) {
        let groups = &mut self.groups[range.clone()];
        let start = Extent::at(groups[0].place);
        let extent = groups.iter().fold(start, |extent, group| extent.with(group.place));
        let aircraft = groups.iter().map(|group| u64::from(group.count)).sum();
        let (first, end) = (range.start as u32, range.end as u32);
        let index = self.nodes.len();
        self.nodes.push(Node { extent, aircraft, first, end, second: 0, in_conflict: false });
        if range.len() <= LEAF_GROUPS {
            return;
        }
        let axis = self.widest_axis(&extent);
        let middle = range.start + range.len() / 2;
        let groups = &mut self.groups[range.clone()];
        groups.select_nth_unstable_by(range.len() / 2, |left, right| {
            left.place.0[axis].total_cmp(&right.place.0[axis])
        });
        self.build(range.start..middle);
        self.nodes[index].second = self.nodes.len() as u32;
        self.build(middle..range.end);
    }

    /// The axis along which a box has the most separations.
    fn widest_axis(&self, extent: &Extent) -> usize {
        let chord = self.separation.chord();
        let units = [chord, chord, chord, SEPARATION_FT];
        let spread = |axis: &usize| (extent.high[*axis] - extent.low[*axis]) / units[*axis];
        (0..4).max_by(|left, right| spread(left).total_cmp(&spread(right))).unwrap_or(0)
    }

    /// Counts the pairs in conflict among the aircraft of a node.
    fn count_within(&mut self, index: usize) -> u64 {
        let node = self.nodes[index];
        if node.aircraft < 2 {
            return 0;
        }
        if self.separation.relation(&node.extent, &node.extent) == Relation::Together {
            self.nodes[index].in_conflict = true;
            return pairs_among(node.aircraft);
        }
        if node.is_leaf() {
            let mut count = 0;
            for one in node.groups() {
                count += pairs_among(u64::from(self.groups[one].count));
                for other in one + 1..node.groups().end {
                    count += self.count_groups(one, other);
                }
            }
            return count;
        }
        let (first, second) = (index + 1, node.second as usize);
        self.count_within(first) + self.count_within(second) + self.count_between(first, second)
    }

    /// Counts the pairs in conflict between the aircraft of two nodes.
    fn count_between(&mut self, one: usize, other: usize) -> u64 {
        let (left, right) = (self.nodes[one], self.nodes[other]);
        match self.separation.relation(&left.extent, &right.extent) {
            Relation::Apart => return 0,
            Relation::Together => {
                self.nodes[one].in_conflict = true;
                self.nodes[other].in_conflict = true;
                return left.aircraft * right.aircraft;
            }
            Relation::Mixed => {}
        }
        if left.is_leaf() && right.is_leaf() {
            let mut count = 0;
            for one in left.groups() {
                for other in right.groups() {
                    count += self.count_groups(one, other);
                }
            }
            count
        } else if left.groups().len() >= right.groups().len() {
            self.count_between(one + 1, other) + self.count_between(left.second as usize, other)
        } else {
            self.count_between(one, other + 1) + self.count_between(one, right.second as usize)
        }
    }

    /// Counts the pairs in conflict between two groups.
    fn count_groups(&mut self, one: usize, other: usize) -> u64 {
        let (left, right) = (self.groups[one], self.groups[other]);
        let (left_at, right_at) = (Extent::at(left.place), Extent::at(right.place));
        if self.separation.relation(&left_at, &right_at) != Relation::Together {
            return 0;
        }
        self.groups[one].in_conflict = true;
        self.groups[other].in_conflict = true;
        u64::from(left.count) * u64::from(right.count)
    }

    /// Fills `ids` and `in_conflict` from the marks of nodes and groups.
    fn list_ids(&mut self, entries: &[Entry], ids: &mut Vec<u64>) {
        for node in self.nodes.iter().filter(|node| node.in_conflict) {
            for group in &mut self.groups[node.groups()] {
                group.in_conflict = true;
            }
        }
        self.in_conflict.clear();
        for group in self.groups.iter().filter(|group| group.in_conflict) {
            self.in_conflict
                .extend(group.members().map(|member| (entries[member].id, member as u32)));
        }
        self.in_conflict.sort_unstable();
        ids.extend(self.in_conflict.iter().map(|(id, _)| *id));
    }

    /// Fills `pairs`. Each aircraft in turn is paired with those of greater ids, until the list is
    /// full.
    fn list_pairs(&mut self, entries: &[Entry], pairs: &mut Vec<ConflictPair>) {
        let mut others = std::mem::take(&mut self.others);
        for &(id, member) in &self.in_conflict {
            let room = PAIRS_LISTED_MAX - pairs.len();
            if room == 0 {
                break;
            }
            others.clear();
            self.find_greater(0, entries, &entries[member as usize], &mut others);
            if others.len() > room {
                others.select_nth_unstable(room);
                others.truncate(room);
            }
            others.sort_unstable();
            pairs.extend(others.iter().map(|&other| ConflictPair { low: id, high: other }));
        }
        self.others = others;
    }

    /// Appends to `found` those of a node that are in conflict with `one` and have a greater id.
    fn find_greater(&self, index: usize, entries: &[Entry], one: &Entry, found: &mut Vec<u64>) {
        let node = &self.nodes[index];
        let at = Extent::at(one.place());
        let relation = self.separation.relation(&at, &node.extent);
        if relation == Relation::Apart {
            return;
        }
        if relation == Relation::Mixed && !node.is_leaf() {
            self.find_greater(index + 1, entries, one, found);
            self.find_greater(node.second as usize, entries, one, found);
            return;
        }
        for group in &self.groups[node.groups()] {
            let in_conflict = relation == Relation::Together
                || self.separation.relation(&at, &Extent::at(group.place)) == Relation::Together;
            if in_conflict {
                let members = &entries[group.members()];
                let greater = members.partition_point(|member| member.id <= one.id);
                found.extend(members[greater..].iter().map(|member| member.id));
            }
        }
    }
}

/// Pairs among `aircraft`, each once.
fn pairs_among(aircraft: u64) -> u64 {
    aircraft * aircraft.saturating_sub(1) / 2
}

//! [`Plan`]: the first axis of a query, which tables it visits.
//!
//! A scan asks every table of the store whether it matches, and then looks its columns up. A prepared
//! query has kept both from before. Nothing else decides on tables: passes, iterators, counts,
//! look-ups and batches all ask the plan.

#![allow(unsafe_code, reason = "takes the word of callers for choices that were made before")]

use crate::storage::ComponentMask;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::storage::mask::MaskWord;
use crate::storage::stamp::Stamp;
use crate::world::store::{Store, StoreTables, TableRef};

use super::claims::check_claims;
use super::error::QueryError;
use super::filter::Filter;
use super::requirements::Requirements;
use super::selection::Selection;
use super::terms::Terms;

/// The tables of a store that a query visits. Small, and passed by value.
pub(super) struct Plan<'p, 'a, Q: Terms> {
    store: Store<'a>,
    choice: &'p Choice<'a, Q>,
}

/// A plan that is kept: a store with a choice that was made for it.
pub(super) struct Planned<'a, Q: Terms> {
    store: Store<'a>,
    choice: Choice<'a, Q>,
}

/// Which tables of a store a query visits.
pub(super) enum Choice<'q, Q: Terms> {
    /// Those of all that match.
    Scan(Scan<'q, Q>),
    /// Those that are known to match. Where `recheck` is set, a filter was added since.
    Kept { kept: &'q Kept<Q>, recheck: bool },
}

/// The requirements of a scan.
pub(super) struct Scan<'q, Q: Terms> {
    resolved: Q::Resolved,
    requirements: Requirements,
    /// Components that no table may have.
    excluded: Option<&'q ComponentMask>,
}

impl<Q: Terms> Clone for Plan<'_, '_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for Plan<'_, '_, Q> {}

impl<Q: Terms> Clone for Planned<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for Planned<'_, Q> {}

impl<'a, Q: Terms> Planned<'a, Q> {
    /// Scans the tables of `store`.
    #[inline]
    pub(super) fn scan(store: Store<'a>) -> Result<Self, QueryError> {
        Ok(Self { store, choice: Choice::scan(&store)? })
    }

    #[inline]
    pub(super) fn plan(&self) -> Plan<'_, 'a, Q> {
        Plan { store: self.store, choice: &self.choice }
    }

    #[inline]
    pub(super) fn store(&self) -> &Store<'a> {
        &self.store
    }

    /// The same plan for a query with one more filter.
    pub(super) fn filtered(self) -> Self {
        Self { choice: self.choice.filtered(), ..self }
    }
}

impl<Q: Terms> Clone for Choice<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for Choice<'_, Q> {}

impl<Q: Terms> Clone for Scan<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for Scan<'_, Q> {}

impl<'q, Q: Terms> Choice<'q, Q> {
    /// All tables of `store` that match.
    #[inline]
    pub(super) fn scan(store: &Store<'_>) -> Result<Self, QueryError> {
        check_claims::<Q>()?;
        let mut requirements = Requirements::NONE;
        let resolved = Q::resolve(store, &mut requirements)?;
        Ok(Self::scan_for(resolved, requirements, None))
    }

    /// All tables that match terms which were resolved, but for those that have a component of
    /// `excluded`.
    pub(super) fn scan_for(
        resolved: Q::Resolved,
        requirements: Requirements,
        excluded: Option<&'q ComponentMask>,
    ) -> Self {
        Self::Scan(Scan { resolved, requirements, excluded })
    }

    /// The same choice for a query with one more filter.
    pub(super) fn filtered(self) -> Self {
        match self {
            Self::Scan(_) => self,
            Self::Kept { kept, .. } => Self::Kept { kept, recheck: true },
        }
    }
}

impl<'p, 'a, Q: Terms> Plan<'p, 'a, Q> {
    /// # Safety
    ///
    /// The choice was made for this store: also that of a world which was borrowed since.
    #[inline]
    pub(super) unsafe fn new(store: Store<'a>, choice: &'p Choice<'a, Q>) -> Self {
        Self { store, choice }
    }

    pub(super) fn keep(&self) -> Planned<'a, Q> {
        Planned { store: self.store, choice: *self.choice }
    }

    #[inline]
    pub(super) fn store(&self) -> &Store<'a> {
        &self.store
    }

    #[inline]
    fn registry(&self) -> &'a Registry {
        &self.store.catalog().registry
    }

    /// Whether there can be tables with rows that are not visited.
    #[inline]
    pub(super) fn may_select<F: Filter>(&self) -> bool {
        Selection::<F>::is_needed(self.registry())
    }

    /// How many tables the plan has to look at.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.tables().len()
    }

    /// The tables of the plan, for loops over them.
    #[inline]
    pub(super) fn tables(&self) -> Tables<'p, 'a, Q> {
        self.tables_by_value().unwrap_or_else(|| match self.choice {
            Choice::Scan(scan) => self.tables_of(TableChoice::Scan { scan }),
            Choice::Kept { .. } => unreachable!("matches are at hand"),
        })
    }

    /// [`Plan::tables`] that refer to nothing in the plan, where little is to be asked of them.
    #[inline]
    pub(super) fn tables_by_value(&self) -> Option<Tables<'a, 'a, Q>> {
        let choice = match *self.choice {
            Choice::Scan(ref scan) => {
                TableChoice::Word { word: scan.only_word()?, resolved: scan.resolved }
            }
            Choice::Kept { kept, recheck } => {
                TableChoice::Matches { matches: &kept.matches, recheck }
            }
        };
        Some(self.tables_of(choice))
    }

    #[inline]
    fn tables_of<'c>(&self, choice: TableChoice<'c, Q>) -> Tables<'c, 'a, Q> {
        Tables { tables: self.store.tables(), choice, registry: self.registry() }
    }

    /// The table at a position of the plan; `None` when it has no rows or does not match.
    pub(super) fn table<F: Filter>(&self, position: usize) -> Option<TableRef<'a>> {
        self.tables().table::<F>(position)
    }

    /// The archetype at a position of the plan.
    #[inline]
    pub(super) fn archetype(&self, position: usize) -> ArchetypeId {
        match self.choice {
            Choice::Scan(_) => ArchetypeId::new(position),
            Choice::Kept { kept, .. } => kept.matches[position].archetype,
        }
    }

    /// Where the columns of an archetype's table are; `None` when it does not match.
    #[inline]
    pub(super) fn find<F: Filter>(
        &self,
        archetype: ArchetypeId,
        table: &TableRef<'_>,
    ) -> Option<Q::Place> {
        match self.choice {
            Choice::Scan(scan) => {
                scan.admits::<F>(table, self.registry()).then(|| Q::place(scan.resolved, table))
            }
            Choice::Kept { kept, recheck } => {
                let number = *kept.numbers.get(archetype.index())?;
                let found = kept.matches.get(number as usize)?;
                let passes = !recheck || F::passes(self.registry(), table.mask());
                passes.then_some(found.place)
            }
        }
    }

    #[inline]
    pub(super) fn requirements(&self) -> &Requirements {
        match self.choice {
            Choice::Scan(scan) => &scan.requirements,
            Choice::Kept { kept, .. } => &kept.requirements,
        }
    }

    /// The selection of a table's rows; `None` where the query visits all of them.
    #[inline]
    pub(super) fn selection<F: Filter>(
        &self,
        table: &TableRef<'_>,
        since: Epoch,
    ) -> Option<Selection<F>> {
        Selection::bind(table, self.registry(), self.requirements(), since)
    }
}

/// The tables of a plan, with all that is asked for each of them at hand: a loop keeps it in registers, where
/// a plan is behind references that writes to rows might change.
pub(super) struct Tables<'p, 'a, Q: Terms> {
    tables: StoreTables<'a>,
    choice: TableChoice<'p, Q>,
    registry: &'a Registry,
}

/// A [`Choice`], taken apart. All of it in whole words: it is passed by value, and a copy in other pieces than those
/// that are loaded then would make the processor wait.
#[repr(usize)]
enum TableChoice<'p, Q: Terms> {
    Matches {
        matches: &'p [Match<Q::Place>],
        recheck: bool,
    },
    /// Those of all whose archetypes have these components, by [`Scan::only_word`].
    Word {
        word: MaskWord,
        resolved: Q::Resolved,
    },
    Scan {
        scan: &'p Scan<'p, Q>,
    },
}

impl<Q: Terms> Clone for Tables<'_, '_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for Tables<'_, '_, Q> {}

impl<Q: Terms> Clone for TableChoice<'_, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for TableChoice<'_, Q> {}

impl<'a, Q: Terms> Tables<'_, 'a, Q> {
    /// How many tables there are to look at.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        match &self.choice {
            TableChoice::Matches { matches, .. } => matches.len(),
            TableChoice::Word { .. } | TableChoice::Scan { .. } => self.tables.len(),
        }
    }

    /// Calls `with` at different places for the tables of worlds and of snapshots, so that it is compiled for each.
    #[inline(always)]
    pub(super) fn apart<R>(self, with: impl FnOnce(&Self) -> R) -> R {
        match self.tables {
            tables @ StoreTables::Live(..) => with(&Self { tables, ..self }),
            tables @ StoreTables::Frozen(_) => with(&Self { tables, ..self }),
        }
    }

    /// The table at a position; `None` when it has no rows or does not match.
    #[inline(always)]
    pub(super) fn table<F: Filter>(&self, position: usize) -> Option<TableRef<'a>> {
        let number = match &self.choice {
            TableChoice::Matches { matches, .. } => matches[position].archetype.index(),
            TableChoice::Word { .. } | TableChoice::Scan { .. } => position,
        };
        let table = self.tables.get(number);
        if table.rows() == 0 {
            return None;
        }
        let (mask, registry) = (table.mask(), self.registry);
        let is_match = match &self.choice {
            TableChoice::Matches { recheck, .. } => !recheck || F::passes(registry, mask),
            TableChoice::Word { word, .. } => mask.has_word(*word) && F::passes(registry, mask),
            TableChoice::Scan { scan } => scan.admits::<F>(&table, registry),
        };
        is_match.then_some(table)
    }

    /// The columns of a table that was found at a position.
    ///
    /// # Safety
    ///
    /// As [`Terms::bind`].
    #[inline(always)]
    pub(super) unsafe fn bind(&self, position: usize, table: &TableRef<'a>) -> Q::Bound {
        match &self.choice {
            // SAFETY: the caller's contract; the place was found in a table of this archetype and layout.
            TableChoice::Matches { matches, .. } => unsafe {
                Q::bind(matches[position].place, table)
            },
            // SAFETY: the caller's contract; the place is found in this table.
            TableChoice::Word { resolved, .. } => unsafe {
                Q::bind(Q::place(*resolved, table), table)
            },
            // SAFETY: as above.
            TableChoice::Scan { scan } => unsafe { Q::bind(Q::place(scan.resolved, table), table) },
        }
    }
}

/// Whether a query with the filter `F` visits tables of an archetype: the one such test.
#[inline]
fn admits<F: Filter>(
    requirements: &Requirements,
    archetype: &ComponentMask,
    registry: &Registry,
) -> bool {
    requirements.are_met_by(archetype) && F::passes(registry, archetype)
}

impl<'p, 'a> Plan<'p, 'a, ()> {
    /// A plan that is only asked for tables: there is no column to find.
    pub(super) fn of_nothing(store: &Store<'a>, choice: &'p Choice<'a, ()>) -> Self {
        Self { store: *store, choice }
    }
}

impl<Q: Terms> Scan<'_, Q> {
    /// The only word of the masks of archetypes that it takes to tell whether they match but for filters, and its
    /// required bits; `None` where there is more to ask.
    #[inline]
    fn only_word(&self) -> Option<MaskWord> {
        if self.excluded.is_some() { None } else { self.requirements.only_word() }
    }

    #[inline]
    fn admits<F: Filter>(&self, table: &TableRef<'_>, registry: &Registry) -> bool {
        admits::<F>(&self.requirements, table.mask(), registry)
            && self.excluded.is_none_or(|excluded| !excluded.intersects(table.mask()))
    }
}

/// The tables that match, as a prepared query keeps them, and the state that it was prepared for.
///
/// Stamps are unique in the process and travel with copies of a catalog, so nothing that merely looks
/// alike, such as another world with as many archetypes, can pass for that state.
pub(super) struct Kept<Q: Terms> {
    /// `None` before the first use, and after an error.
    source: Option<Source<Q>>,
    requirements: Requirements,
    /// The archetypes that match, in their order.
    matches: Vec<Match<Q::Place>>,
    /// For each archetype the number of its match, or `NO_MATCH`.
    numbers: Vec<u32>,
}

/// The state of a store that a query was prepared for.
struct Source<Q: Terms> {
    registry: Stamp,
    /// The stamp of the last archetype that was looked at.
    last: Stamp,
    readable: ComponentMask,
    layout: Option<ComponentMask>,
    resolved: Q::Resolved,
}

/// One archetype that matches, and where its columns are.
#[derive(Clone, Copy)]
struct Match<P> {
    archetype: ArchetypeId,
    place: P,
}

/// Marks an archetype that does not match.
const NO_MATCH: u32 = u32::MAX;

impl<Q: Terms> Kept<Q> {
    /// Not prepared for anything yet.
    pub(super) const NONE: Self = Self {
        source: None,
        requirements: Requirements::NONE,
        matches: Vec::new(),
        numbers: Vec::new(),
    };

    pub(super) fn is_prepared(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn match_count(&self) -> usize {
        self.matches.len()
    }

    /// The plan of a query with the filter `F` for a store.
    #[inline]
    pub(super) fn planned<'a, F: Filter>(
        &'a mut self,
        store: Store<'a>,
    ) -> Result<Planned<'a, Q>, QueryError> {
        Ok(Planned { store, choice: self.choice::<F>(&store)? })
    }

    /// The choice of such a plan. Looks only at the archetypes that are new.
    #[inline]
    pub(super) fn choice<F: Filter>(
        &mut self,
        store: &Store<'_>,
    ) -> Result<Choice<'_, Q>, QueryError> {
        let count = store.table_count();
        match &self.source {
            Some(source) if self.numbers.len() == count && source.covers(store, count) => {}
            _ => self.prepare::<F>(store)?,
        }
        Ok(Choice::Kept { kept: self, recheck: false })
    }

    /// Looks at the archetypes that are new, or at all of them if not only archetypes are.
    #[cold]
    #[inline(never)]
    fn prepare<F: Filter>(&mut self, store: &Store<'_>) -> Result<(), QueryError> {
        let Self { source, requirements, matches, numbers } = self;
        let (known, count) = (numbers.len(), store.table_count());
        let registry = &store.catalog().registry;
        let covered = source.take().filter(|old| known <= count && old.covers(store, known));
        let resolved = match covered {
            Some(source) => source.resolved,
            None => {
                matches.clear();
                numbers.clear();
                check_claims::<Q>()?;
                *requirements = Requirements::NONE;
                F::check(registry, store.readable())?;
                Q::resolve(store, requirements)?
            }
        };
        for index in numbers.len()..count {
            let table = store.table(index);
            let is_match = admits::<F>(requirements, table.mask(), registry);
            numbers.push(if is_match { matches.len() as u32 } else { NO_MATCH });
            if is_match {
                let place = Q::place(resolved, &table);
                matches.push(Match { archetype: ArchetypeId::new(index), place });
            }
        }
        let Some(last) = store.catalog().archetypes()[..count].last() else { return Ok(()) };
        *source = Some(Source {
            registry: registry.stamp(),
            last: last.stamp(),
            readable: *store.readable(),
            layout: store.layout().copied(),
            resolved,
        });
        Ok(())
    }
}

impl<Q: Terms> Source<Q> {
    /// Whether the matches among `known` archetypes hold for the first ones of a store.
    #[inline]
    fn covers(&self, store: &Store<'_>, known: usize) -> bool {
        let catalog = store.catalog();
        let last = known.checked_sub(1).and_then(|last| catalog.archetypes().get(last));
        last.is_some_and(|last| last.stamp() == self.last)
            && catalog.registry.stamp() == self.registry
            && *store.readable() == self.readable
            && store.layout() == self.layout.as_ref()
    }
}

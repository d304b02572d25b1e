//! The methods of queries that may write, which all have alike.

/// Implements them, by methods that differ: `plan`, the plan with the mark of a query; `pass`, which has
/// the columns of the query exclusively; and `items`, which has them for several entities.
macro_rules! writing_methods {
    ($type:ident) => {
        /// Restricts the query to the entities that pass `G` as well.
        ///
        /// # Panics
        ///
        #[doc = concat!("Where [`", stringify!($type), "::try_filter`] returns an error.")]
        #[track_caller]
        pub fn filter<G: Filter>(self) -> $type<'a, Q, (F, G)> {
            or_panic(self.try_filter())
        }

        /// How many entities the query finds. The cost grows with archetypes, and with rows only where
        /// something decides on each of them.
        pub fn count(&self) -> usize {
            let (plan, since) = self.plan();
            count::<Q, F>(&plan, since)
        }

        /// An iterator of known length over every entity, in the order of archetypes and rows.
        ///
        /// # Panics
        ///
        /// The iterator panics when memory runs out for copying a chunk that a snapshot shares.
        pub fn iter(&mut self) -> QueryIter<'_, Q, F> {
            self.pass().iter()
        }

        /// Calls `each` for every entity, in the order of archetypes and rows.
        ///
        /// When `each` panics, the row that it had is left as it was if a snapshot shared the chunk,
        /// all others are whole, and nothing leaks.
        ///
        /// # Panics
        ///
        #[doc = concat!("When memory runs out; see [`", stringify!($type), "::try_for_each`].")]
        #[inline]
        #[track_caller]
        pub fn for_each(&mut self, each: impl FnMut(Q::Item<'_>)) {
            or_panic(self.try_for_each(each));
        }

        /// Calls `each` for every entity, in the order of archetypes and rows.
        ///
        /// # Errors
        ///
        /// When memory runs out for copying a chunk that a snapshot shares. The rows before that
        /// chunk have been visited; no row is torn.
        #[inline]
        pub fn try_for_each(&mut self, each: impl FnMut(Q::Item<'_>)) -> Result<(), MemoryError> {
            self.pass().for_each(each)
        }

        /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
        /// of the query, for loops written by hand. A chunk that a snapshot shares is copied first.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// world.spawn_columns((&[[1.0_f32; 3]; 10][..],)).unwrap();
        /// world.query_mut::<&mut [f32; 3]>().for_each_run(|positions| {
        ///     for number in bytemuck::cast_slice_mut::<_, f32>(positions) {
        ///         *number += 0.5;
        ///     }
        /// });
        /// ```
        ///
        /// # Panics
        ///
        #[doc = concat!("When memory runs out; see [`", stringify!($type), "::try_for_each_run`].")]
        #[inline]
        #[track_caller]
        pub fn for_each_run(&mut self, each: impl FnMut(Q::Slices<'_>)) {
            or_panic(self.try_for_each_run(each));
        }

        #[doc = concat!("Calls `each` for every run, as [`", stringify!($type), "::for_each_run`].")]
        ///
        /// # Errors
        ///
        #[doc = concat!("As [`", stringify!($type), "::try_for_each`].")]
        #[inline]
        pub fn try_for_each_run(
            &mut self,
            each: impl FnMut(Q::Slices<'_>),
        ) -> Result<(), MemoryError> {
            self.pass().for_each_run(each)
        }

        /// Calls `each` for every entity, on all threads of the current rayon pool: that of
        /// `ThreadPool::install`, or the global one. The order is open; with two threads or more, calls
        /// overlap in time. Returns when all are made. As every call has a row of its own, the world
        /// is the same afterwards as after `for_each`, unless the calls share something else.
        ///
        /// Chunks that a snapshot shares are copied in the same pass, by all threads; in a
        /// [`SharedWorld`](crate::query::SharedWorld) before it, by the caller's. Threads take runs of up to
        /// 2,048 rows that lie in one chunk of every column, and several runs at once, also of several
        /// tables, where these are small.
        ///
        /// The lists of a pass are kept by the world, so a pass like the last one allocates nothing, if
        /// no other is under way, on none of the threads, if the caller is a thread of the pool: run the frames under
        /// `ThreadPool::install`, or make the thread that runs them one of the pool's by
        /// `ThreadPoolBuilder::use_current_thread`. A caller from outside passes through rayon's queue
        /// for such callers, which takes a block of memory for every 63 passes and frees it after them;
        /// no other way into its threads takes less.
        ///
        /// # Panics
        ///
        /// When `each` does, after all threads have come back: which entities were visited is open, the row
        /// of the call is left as it was if a snapshot shared its chunk, the query visits all rows of its
        /// table and the world is not shared out; all others are whole, and nothing leaks. When memory runs
        /// out; see
        #[doc = concat!("[`", stringify!($type), "::try_par_for_each`].")]
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// world.spawn_columns((&[[1.0_f32, 2.0]; 5000][..],)).unwrap();
        /// world.query_mut::<&mut [f32; 2]>().par_for_each(|[x, y]| *x += *y);
        /// assert!(world.query::<&[f32; 2]>().iter().all(|value| *value == [3.0, 2.0]));
        /// ```
        #[cfg(feature = "rayon")]
        #[track_caller]
        pub fn par_for_each(&mut self, each: impl Fn(Q::Item<'_>) + Send + Sync) {
            or_panic(self.try_par_for_each(each));
        }

        #[doc = concat!("Calls `each` for every entity, as [`", stringify!($type), "::par_for_each`] does.")]
        ///
        /// # Errors
        ///
        /// When memory runs out for copying the chunks that snapshots share. All copies are allocated
        /// before the first call. The world is unchanged.
        #[cfg(feature = "rayon")]
        pub fn try_par_for_each(
            &mut self,
            each: impl Fn(Q::Item<'_>) + Send + Sync,
        ) -> Result<(), MemoryError> {
            self.pass().par_for_each(each)
        }

        /// Calls `each` for every run of up to 2,048 rows, as `for_each_run` does, on all threads of
        /// the current rayon pool, as `par_for_each` does. Chunks that a snapshot shares are copied before
        /// their rows are handed out.
        ///
        /// # Panics
        ///
        /// When `each` does, after all threads have come back, and when memory runs out.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// world.spawn_columns((&[1_u32; 5000][..],)).unwrap();
        /// world.query_mut::<&mut u32>().par_for_each_run(|numbers| numbers.fill(7));
        /// assert!(world.query::<&u32>().iter().all(|number| *number == 7));
        /// ```
        #[cfg(feature = "rayon")]
        #[track_caller]
        pub fn par_for_each_run(&mut self, each: impl Fn(Q::Slices<'_>) + Send + Sync) {
            or_panic(self.try_par_for_each_run(each));
        }

        #[doc = concat!("Calls `each` for every run, as [`", stringify!($type), "::par_for_each_run`] does.")]
        ///
        /// # Errors
        ///
        #[doc = concat!("As [`", stringify!($type), "::try_par_for_each`].")]
        #[cfg(feature = "rayon")]
        pub fn try_par_for_each_run(
            &mut self,
            each: impl Fn(Q::Slices<'_>) + Send + Sync,
        ) -> Result<(), MemoryError> {
            self.pass().par_for_each_run(each)
        }

        /// The one entity that the query finds; `None` when there is none or more than one.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// world.spawn((7_u32,));
        /// *world.query_mut::<&mut u32>().single().unwrap() += 1;
        /// assert_eq!(world.query::<&u32>().single(), Some(&8));
        /// world.spawn((8_u32,));
        /// assert_eq!(world.query_mut::<&mut u32>().single(), None);
        /// ```
        ///
        /// # Panics
        ///
        /// When memory runs out for copying a chunk that a snapshot shares.
        #[track_caller]
        pub fn single(&mut self) -> Option<Q::Item<'_>> {
            or_panic(self.try_single())
        }

        #[doc = concat!("The one entity that the query finds, as [`", stringify!($type), "::single`].")]
        ///
        /// # Errors
        ///
        /// When memory runs out for copying a chunk that a snapshot shares.
        pub fn try_single(&mut self) -> Result<Option<Q::Item<'_>>, MemoryError> {
            self.pass().single()
        }

        /// All items, sorted by a key. Allocates the list that it returns.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// world.spawn_columns((&[3_u32, 1, 2][..],)).unwrap();
        /// let mut query = world.query_mut::<&mut u32>();
        /// for (rank, number) in query.sorted_by_key(|number| **number).into_iter().enumerate() {
        ///     *number = 10 * rank as u32;
        /// }
        /// assert!(world.query::<&u32>().iter().eq(&[20, 0, 10]));
        /// ```
        ///
        /// # Panics
        ///
        /// When memory runs out for copying a chunk that a snapshot shares.
        #[track_caller]
        pub fn sorted_by_key<K: Ord>(
            &mut self,
            key: impl FnMut(&Q::Item<'_>) -> K,
        ) -> Vec<Q::Item<'_>> {
            or_panic(self.try_sorted_by_key(key))
        }

        #[doc = concat!("All items, sorted by a key, as [`", stringify!($type), "::sorted_by_key`].")]
        ///
        /// # Errors
        ///
        /// When memory runs out for copying a chunk that a snapshot shares.
        pub fn try_sorted_by_key<K: Ord>(
            &mut self,
            key: impl FnMut(&Q::Item<'_>) -> K,
        ) -> Result<Vec<Q::Item<'_>>, MemoryError> {
            self.pass().sorted_by_key(key)
        }

        /// The item of one entity, for reading and writing. A chunk that a snapshot shares is copied
        /// first. In a prepared query as fast as the look-up of the handle and of the row allow, as
        /// nothing is asked about types.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// let mut world = World::new();
        /// let ship = world.spawn((1_u32, 0.5_f32));
        /// let mut query = world.query_mut::<(&mut u32, &f32)>();
        /// *query.get(ship).unwrap().0 += 1;
        /// assert_eq!(world.query::<&u32>().get(ship).unwrap(), &2);
        /// ```
        ///
        /// # Errors
        ///
        /// When the handle is stale, the entity lacks a component or does not pass the filter, the
        /// handles may not be read, or memory runs out. The world is unchanged.
        #[inline]
        pub fn get(&mut self, entity: Entity) -> Result<Q::Item<'_>, GetError> {
            self.get_many([entity]).map(|[item]| item)
        }

        /// The items of several entities at once, for reading and writing.
        ///
        /// ```
        /// # use convoy_engine::World;
        /// # use convoy_engine::query::GetError;
        /// let mut world = World::new();
        /// let [one, other] = [1_u32, 2].map(|number| world.spawn((number,)));
        /// let mut query = world.query_mut::<&mut u32>();
        /// let [first, second] = query.get_many([one, other]).unwrap();
        /// std::mem::swap(first, second);
        /// let error = query.get_many([one, other, one]).unwrap_err();
        /// assert!(matches!(error, GetError::Duplicate { entity } if entity == one));
        /// assert_eq!(*world.get::<u32>(one).unwrap(), 2);
        /// ```
        ///
        /// # Errors
        ///
        #[doc = concat!("As [`", stringify!($type), "::get`], and when an entity is named twice. The world is unchanged.")]
        #[inline]
        pub fn get_many<const N: usize>(
            &mut self,
            entities: [Entity; N],
        ) -> Result<[Q::Item<'_>; N], GetError> {
            check_distinct(&entities)?;
            self.items(entities)
        }
    };
}

pub(super) use writing_methods;

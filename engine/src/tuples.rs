//! [`for_tuples`]: every trait of tuples is implemented for the same ones.

/// Calls the macro `$each` with the parts of a tuple, `A 0, B 1, ...`, for tuples of one to sixteen.
macro_rules! for_tuples {
    ($each:ident) => {
        for_tuples!(@grow $each [] A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15,);
    };
    (@grow $each:ident [$($name:ident $index:tt,)*]) => {};
    (@grow $each:ident [$($name:ident $index:tt,)*] $next:ident $number:tt, $($rest:tt)*) => {
        $each!($($name $index,)* $next $number);
        for_tuples!(@grow $each [$($name $index,)* $next $number,] $($rest)*);
    };
}

pub(crate) use for_tuples;

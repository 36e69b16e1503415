//! The transforms of Winograd's convolution, on vectors of channels.
//!
//! In one dimension the `m` outputs of a tile are `A^T [(G g) * (B^T d)]`, for a filter `g` of three taps and the `m + 2`
//! inputs `d`; in two dimensions each matrix is applied down and across. The matrices are those of Lavin and Gray,
//! *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016): the points are 0, 1, -1 and infinity for `m = 2`, and
//! 2 and -2 as well for `m = 4`. The gradient of the weights takes the transposes of `A^T` and `G`.

use crate::simd::Simd;

/// A linear map of `N` numbers to `R`, in each lane by itself.
pub(super) trait Linear<const N: usize, const R: usize>: Copy {
    fn apply<S: Simd>(s: S, x: &[S::F; N]) -> [S::F; R];
}

/// The map `L` down the columns of a matrix and then across its rows.
#[inline(always)]
pub(super) fn both<S: Simd, L: Linear<N, R>, const N: usize, const R: usize>(
    s: S,
    x: &[[S::F; N]; N],
) -> [[S::F; R]; R] {
    let mut down = [[s.zero(); N]; R];
    for j in 0..N {
        let mut column = [s.zero(); N];
        for i in 0..N {
            column[i] = x[i][j];
        }
        let column = L::apply(s, &column);
        for i in 0..R {
            down[i][j] = column[i];
        }
    }
    let mut result = [[s.zero(); R]; R];
    for i in 0..R {
        result[i] = L::apply(s, &down[i]);
    }
    result
}

/// `B^T`: of the inputs.
#[derive(Clone, Copy)]
pub(super) struct Inputs<const M: usize>;
/// `A^T`: to the outputs.
#[derive(Clone, Copy)]
pub(super) struct Outputs<const M: usize>;
/// `A`: of the gradient of the outputs.
#[derive(Clone, Copy)]
pub(super) struct OutputGradients<const M: usize>;
/// `G`: of the filters.
#[derive(Clone, Copy)]
pub(super) struct Filters<const M: usize>;
/// `G^T`: to the gradient of the filters.
#[derive(Clone, Copy)]
pub(super) struct FilterGradients<const M: usize>;

impl Linear<4, 4> for Inputs<2> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, d: &[S::F; 4]) -> [S::F; 4] {
        [s.sub(d[0], d[2]), s.add(d[1], d[2]), s.sub(d[2], d[1]), s.sub(d[1], d[3])]
    }
}

impl Linear<4, 2> for Outputs<2> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, x: &[S::F; 4]) -> [S::F; 2] {
        [s.add(s.add(x[0], x[1]), x[2]), s.sub(s.sub(x[1], x[2]), x[3])]
    }
}

impl Linear<2, 4> for OutputGradients<2> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, y: &[S::F; 2]) -> [S::F; 4] {
        [y[0], s.add(y[0], y[1]), s.sub(y[0], y[1]), s.neg(y[1])]
    }
}

impl Linear<3, 4> for Filters<2> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, g: &[S::F; 3]) -> [S::F; 4] {
        let half = s.splat(0.5);
        let outer = s.add(g[0], g[2]);
        [g[0], s.mul(half, s.add(outer, g[1])), s.mul(half, s.sub(outer, g[1])), g[2]]
    }
}

impl Linear<4, 3> for FilterGradients<2> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, u: &[S::F; 4]) -> [S::F; 3] {
        let half = s.splat(0.5);
        let sum = s.mul(half, s.add(u[1], u[2]));
        [s.add(u[0], sum), s.mul(half, s.sub(u[1], u[2])), s.add(sum, u[3])]
    }
}

impl Linear<6, 6> for Inputs<4> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, d: &[S::F; 6]) -> [S::F; 6] {
        let (two, four, five) = (s.splat(2.0), s.splat(4.0), s.splat(-5.0));
        let even = s.mul_add(s.splat(-4.0), d[2], d[4]);
        let odd = s.mul_add(s.splat(-4.0), d[1], d[3]);
        let even_2 = s.sub(d[4], d[2]);
        let odd_2 = s.mul(two, s.sub(d[3], d[1]));
        [
            s.mul_add(four, d[0], s.mul_add(five, d[2], d[4])),
            s.add(even, odd),
            s.sub(even, odd),
            s.add(even_2, odd_2),
            s.sub(even_2, odd_2),
            s.mul_add(four, d[1], s.mul_add(five, d[3], d[5])),
        ]
    }
}

impl Linear<6, 4> for Outputs<4> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, x: &[S::F; 6]) -> [S::F; 4] {
        let (sum, difference) = (s.add(x[1], x[2]), s.sub(x[1], x[2]));
        let (sum_2, difference_2) = (s.add(x[3], x[4]), s.sub(x[3], x[4]));
        [
            s.add(s.add(x[0], sum), sum_2),
            s.mul_add(s.splat(2.0), difference_2, difference),
            s.mul_add(s.splat(4.0), sum_2, sum),
            s.add(s.mul_add(s.splat(8.0), difference_2, difference), x[5]),
        ]
    }
}

impl Linear<4, 6> for OutputGradients<4> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, y: &[S::F; 4]) -> [S::F; 6] {
        let four = s.splat(4.0);
        let (even, odd) = (s.add(y[0], y[2]), s.add(y[1], y[3]));
        let even_2 = s.mul_add(four, y[2], y[0]);
        let odd_2 = s.mul(s.splat(2.0), s.mul_add(four, y[3], y[1]));
        [y[0], s.add(even, odd), s.sub(even, odd), s.add(even_2, odd_2), s.sub(even_2, odd_2), y[3]]
    }
}

impl Linear<3, 6> for Filters<4> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, g: &[S::F; 3]) -> [S::F; 6] {
        let sixth = s.splat(-1.0 / 6.0);
        let outer = s.add(g[0], g[2]);
        let even = s.mul_add(s.splat(1.0 / 24.0), g[0], s.mul(s.splat(1.0 / 6.0), g[2]));
        let odd = s.mul(s.splat(1.0 / 12.0), g[1]);
        [
            s.mul(s.splat(0.25), g[0]),
            s.mul(sixth, s.add(outer, g[1])),
            s.mul(sixth, s.sub(outer, g[1])),
            s.add(even, odd),
            s.sub(even, odd),
            g[2],
        ]
    }
}

impl Linear<6, 3> for FilterGradients<4> {
    #[inline(always)]
    fn apply<S: Simd>(s: S, u: &[S::F; 6]) -> [S::F; 3] {
        let sixth = s.splat(1.0 / 6.0);
        let (sum, difference) = (s.add(u[1], u[2]), s.sub(u[1], u[2]));
        let (sum_2, difference_2) = (s.add(u[3], u[4]), s.sub(u[3], u[4]));
        let outer = s.mul(s.splat(-1.0 / 6.0), sum);
        [
            s.mul_add(s.splat(0.25), u[0], s.mul_add(s.splat(1.0 / 24.0), sum_2, outer)),
            s.mul_add(s.splat(1.0 / 12.0), difference_2, s.mul(s.splat(-1.0 / 6.0), difference)),
            s.add(s.mul_add(sixth, sum_2, outer), u[5]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    /// The matrix of a map, column by column.
    fn matrix<L: Linear<N, R>, const N: usize, const R: usize>(_: L) -> [[f32; N]; R] {
        let s = Portable;
        let mut matrix = [[0.0; N]; R];
        for j in 0..N {
            let mut unit = [s.zero(); N];
            unit[j] = s.splat(1.0);
            let column = L::apply(s, &unit);
            for i in 0..R {
                matrix[i][j] = s.sum(column[i]) / Portable::LANES as f32;
            }
        }
        matrix
    }

    fn check<const M: usize, const A: usize>()
    where
        Inputs<M>: Linear<A, A>,
        Outputs<M>: Linear<A, M>,
        OutputGradients<M>: Linear<M, A>,
        Filters<M>: Linear<3, A>,
        FilterGradients<M>: Linear<A, 3>,
    {
        let inputs: [[f32; A]; A] = matrix(Inputs::<M>);
        let outputs: [[f32; A]; M] = matrix(Outputs::<M>);
        let filters: [[f32; 3]; A] = matrix(Filters::<M>);
        // Output i is the sum of inputs i + k times taps k, and nothing else.
        for i in 0..M {
            for tap in 0..3 {
                for j in 0..A {
                    let product: f32 = (0..A).map(|p| outputs[i][p] * filters[p][tap] * inputs[p][j]).sum();
                    let expected = if j == i + tap { 1.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-5, "output {i}, tap {tap}, input {j}: {product}");
                }
            }
        }
        let output_gradients: [[f32; M]; A] = matrix(OutputGradients::<M>);
        let filter_gradients: [[f32; A]; 3] = matrix(FilterGradients::<M>);
        for p in 0..A {
            for i in 0..M {
                assert_eq!(output_gradients[p][i], outputs[i][p]);
            }
            for tap in 0..3 {
                assert!((filter_gradients[tap][p] - filters[p][tap]).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn the_transforms_together_are_a_convolution_and_those_of_gradients_their_transposes() {
        check::<2, 4>();
        check::<4, 6>();
    }
}

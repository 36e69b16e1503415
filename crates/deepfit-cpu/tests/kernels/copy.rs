use deepfit_cpu::kernels::copy::*;

use super::support::{everywhere, numbers};

fn index(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut out = vec![0; dims.len()];
    for axis in (0..dims.len()).rev() {
        out[axis] = at % dims[axis];
        at /= dims[axis];
    }
    out
}

fn offset(index: &[usize], dims: &[usize]) -> usize {
    index.iter().zip(dims).fold(0, |at, (i, d)| at * d + i)
}

fn exactly(what: &str, want: Vec<f32>, kernel: impl Fn(&deepfit_cpu::kernels::Compute, &mut [f32])) {
    everywhere(
        |cx| {
            let mut y = vec![-9.0; want.len()];
            kernel(cx, &mut y);
            y
        },
        |isa, y| assert_eq!(y, want, "{what} {isa}"),
    );
}

#[test]
fn axes_are_permuted() {
    let cases: [(&[usize], &[usize]); 11] = [
        (&[5], &[0]),
        (&[31, 33], &[1, 0]),
        (&[64, 65], &[1, 0]),
        (&[2, 40, 70], &[0, 2, 1]),
        (&[3, 4, 5], &[2, 1, 0]),
        (&[2, 3, 9, 9], &[0, 2, 3, 1]),
        (&[2, 9, 9, 3], &[0, 3, 1, 2]),
        (&[2, 3, 1, 4, 2, 5], &[5, 3, 1, 0, 2, 4]),
        (&[0, 3], &[1, 0]),
        (&[40_000, 2], &[1, 0]),
        (&[2, 40_000], &[1, 0]),
    ];
    for (dims, order) in cases {
        let x = numbers(dims.iter().product(), 1);
        let sizes: Vec<usize> = order.iter().map(|&a| dims[a]).collect();
        let want = (0..x.len())
            .map(|i| {
                let to = index(i, &sizes);
                let mut from = vec![0; dims.len()];
                order.iter().zip(&to).for_each(|(&axis, &v)| from[axis] = v);
                x[offset(&from, dims)]
            })
            .collect();
        exactly(&format!("{dims:?} {order:?}"), want, |cx, y| permute(cx, &x, dims, order, y));
    }
}

#[test]
fn slices_are_taken_and_put_back() {
    let (dims, start, step, sizes) = ([7, 9, 20], [1, 0, 3], [2, 1, 4], [3, 9, 5]);
    let x = numbers(7 * 9 * 20, 1);
    let from = |i| {
        let at: Vec<usize> = index(i, &sizes).iter().enumerate().map(|(a, v)| start[a] + v * step[a]).collect();
        offset(&at, &dims)
    };
    let part: Vec<f32> = (0..135).map(|i| x[from(i)]).collect();
    exactly("slice", part.clone(), |cx, y| slice(cx, &x, &dims, &start, &step, &sizes, y));
    let mut whole = vec![-9.0; x.len()];
    (0..135).for_each(|i| whole[from(i)] = part[i]);
    exactly("place", whole, |cx, y| place(cx, &part, &sizes, y, &dims, &start, &step));
}

#[test]
fn tensors_are_joined_padded_filled_and_broadcast() {
    let (a, b, c) = (numbers(2 * 3 * 5, 1), numbers(2 * 5, 2), vec![]);
    let want = (0..2).flat_map(|o| [&a[o * 15..][..15], &b[o * 5..][..5]].concat()).collect();
    exactly("concatenate", want, |cx, y| concatenate(cx, &[(&a, 3), (&c, 0), (&b, 1)], 2, 5, y));

    let x = numbers(6, 1);
    let mut padded = vec![4.0; 5 * 6];
    (0..6).for_each(|i| padded[(i / 3 + 1) * 6 + i % 3 + 3] = x[i]);
    exactly("pad", padded, |cx, y| pad(cx, &x, &[2, 3], &[1, 3], &[2, 0], 4.0, y));

    exactly("fill", vec![3.0; 40_000], |cx, y| fill(cx, y, 3.0));
    let want = (0..40 * 50).map(|i| x[i / 50 % 4]).collect();
    exactly("broadcast", want, |cx, y| copy_box(cx, &[10, 4, 50], &x, 0, &[0, 1, 0], y, 0, &[200, 50, 1]));
}

#[test]
fn integers_become_numbers() {
    for n in [0, 1, 15, 16, 17, 40_000] {
        let bytes: Vec<u8> = (0..n).map(|i: i32| (i * 7) as u8).collect();
        exactly("u8", bytes.iter().map(|&b| b as f32).collect(), |cx, y| u8_to_f32(cx, &bytes, y));
        let integers: Vec<i32> = (0..n).map(|i| i * 99_991 - 1_000_000_000).collect();
        exactly("i32", integers.iter().map(|&b| b as f32).collect(), |cx, y| i32_to_f32(cx, &integers, y));
    }
}

#[test]
#[should_panic(expected = "overlap")]
fn places_that_overlap_are_refused() {
    everywhere(
        |cx| {
            let mut y = vec![0.0; 10];
            copy_box(cx, &[3, 3], &[0.0; 9], 0, &[3, 1], &mut y, 0, &[2, 1]);
            y
        },
        |_, _| (),
    );
}

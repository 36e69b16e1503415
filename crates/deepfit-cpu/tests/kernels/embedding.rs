use deepfit_cpu::error::Error;
use deepfit_cpu::kernels::embedding::*;

use super::support::{assert_close, everywhere, numbers};

#[test]
fn rows_are_looked_up_and_their_gradients_added() {
    for (rows, width, count) in [(1, 1, 1), (5, 3, 40), (33, 16, 0), (100, 17, 3000), (40, 300, 90), (4, 0, 7)] {
        let (table, dy) = (numbers(rows * width, 1), numbers(count * width, 2));
        let indices: Vec<i32> = (0..count).map(|i| ((i * i + 3) % rows) as i32).collect();
        let want: Vec<f64> =
            indices.iter().flat_map(|&r| &table[r as usize * width..][..width]).map(|&v| v as f64).collect();
        let mut gradient = vec![0.0; rows * width];
        for (i, &r) in indices.iter().enumerate() {
            (0..width).for_each(|j| gradient[r as usize * width + j] += dy[i * width + j] as f64);
        }
        everywhere(
            |cx| {
                let mut y = vec![9.0; count * width];
                let mut dtable = vec![9.0; rows * width];
                embedding(cx, &table, &indices, &mut y, rows, width).unwrap();
                embedding_backward(cx, &dy, &indices, &mut dtable, rows, width, None).unwrap();
                y.extend(dtable);
                y
            },
            |isa, out| {
                assert_close(isa, &out[..count * width], &want, 0.0);
                assert_close(isa, &out[count * width..], &gradient, 3e-6);
            },
        );
    }
}

#[test]
fn an_index_out_of_range_is_named_and_nothing_is_written() {
    for index in [-1, 3, i32::MIN] {
        everywhere(
            |cx| {
                let mut y = vec![9.0; 4];
                let mut dtable = vec![9.0; 6];
                let want = Err(Error::IndexOutOfRange { index, position: 1, rows: 3 });
                assert_eq!(embedding(cx, &[1.0; 6], &[2, index], &mut y, 3, 2), want);
                assert_eq!(embedding_backward(cx, &[1.0; 4], &[2, index], &mut dtable, 3, 2, None), want);
                y.extend(dtable);
                y
            },
            |_, out| assert_eq!(out, [9.0; 10]),
        );
    }
}

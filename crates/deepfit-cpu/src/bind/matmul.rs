//! Kernel of the matrix product.

use deepfit_graph::ops::MatMul;

use super::Bind;
use super::elementwise::EpilogueProgram;
use crate::executor::{Call, Fault, Kernel, Preparable, Shapes};
use crate::kernels::Compute;
use crate::kernels::gemm::{Epilogue, Gemm, Matrix, packed};

struct Product {
    transpose_a: bool,
    transpose_b: bool,
    epilogue: Option<EpilogueProgram>,
}

impl Bind for MatMul {
    fn bind(&self) -> Box<dyn Kernel> {
        Box::new(Product {
            transpose_a: self.transpose_a,
            transpose_b: self.transpose_b,
            epilogue: self.epilogue.as_ref().map(EpilogueProgram::new),
        })
    }
}

/// Sizes of one product, and how many there are.
struct Sizes {
    products: usize,
    m: usize,
    k: usize,
    n: usize,
}

impl Product {
    fn sizes(&self, shapes: &Shapes) -> Sizes {
        let (a, b, c) = (shapes.input(0), shapes.input(1), shapes.output(0));
        let k = a[if self.transpose_a { a.len() - 2 } else { a.len() - 1 }];
        let (lead, last) = c.split_at(c.len() - 2);
        let leading: usize = lead.iter().product();
        if b.len() == 2 {
            // One product: the leading axes of A are rows.
            Sizes { products: 1, m: leading * last[0], k, n: last[1] }
        } else {
            Sizes { products: leading, m: last[0], k, n: last[1] }
        }
    }
}

/// A `rows` x `columns` matrix, or one that is stored transposed.
fn matrix(data: &[f32], transposed: bool, rows: usize, columns: usize) -> Matrix<'_> {
    if transposed { Matrix::new(data, 1, rows) } else { Matrix::new(data, columns, 1) }
}

impl Kernel for Product {
    fn scratch(&self, cx: &Compute<'_>, shapes: &Shapes) -> usize {
        let Sizes { m, k, n, .. } = self.sizes(shapes);
        Gemm::new(m, n, k).scratch(cx)
    }

    fn run(&self, call: &Call<'_>) -> Result<(), Fault> {
        let Sizes { products, m, k, n } = self.sizes(call.shapes());
        let (a, b, c, scratch) = (call.input(0), call.input(1), call.output(0), call.scratch());
        for i in 0..products {
            let a = matrix(&a[i * m * k..][..m * k], self.transpose_a, m, k);
            let b = matrix(&b[i * k * n..][..k * n], self.transpose_b, k, n);
            let c = &mut c[i * m * n..][..m * n];
            let epilogue = self.epilogue.as_ref().map(|program| program.bound(call, 2, n).at_row(i * m));
            let epilogue = epilogue.as_ref().map(|e| e as &dyn Epilogue);
            let gemm = Gemm::new(m, n, k).epilogue(epilogue).packed(call.prepared());
            gemm.run(call.compute(), &a, &b, c, n, scratch);
        }
        Ok(())
    }

    fn preparable(&self, cx: &Compute<'_>, shapes: &Shapes) -> Option<Preparable> {
        let Sizes { k, n, .. } = self.sizes(shapes);
        (shapes.input(1).len() == 2).then(|| Preparable { input: 1, size: packed::size(cx, k, n) })
    }

    fn prepare(&self, cx: &Compute<'_>, shapes: &Shapes, b: &[f32], prepared: &mut [f32]) {
        let Sizes { k, n, .. } = self.sizes(shapes);
        packed::pack(cx, &matrix(b, self.transpose_b, k, n), k, n, prepared);
    }
}

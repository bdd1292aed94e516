"""Kernels of a fused inverted residual on a GPU, in Triton; without a GPU its interpreter runs the same arithmetic.

An expanded tensor [B, T, H, W, M] is written once where the next kernel needs its neighbours (h1, u2, u3, and the
gradients of u3 and u2), and never otherwise: SiLU, biases, gate, squeeze and the gradients of the SiLUs are computed
where a number is at hand. Names are those of `folded_block.py`. Sums are kept in float32, whatever is stored.

Arguments mean the same in all of them:

| argument | is |
|---|---|
| x, dx | [.., C] input of a block with its positions, and its gradient |
| h1, u2, u3, du3, du2 | [.., M], as in `folded_block.py` |
| y, dy | [.., O] answer and its gradient |
| weight | of the expansion (M, C), the depthwise convolution (M, taps), or the contraction (O, M) |
| frame_bias, pixel_bias | (frames or 1, M) and (image, M) that make u1 of the product |
| gate, dmean | (windows, M), of the gate, and what its gradient hands to the mean |
| sums | (windows, parts, M) float32, one part a program |
| pixels, image | pixels in all or of a window, and those of a frame |
| rows, columns, out_rows, out_columns, frames | sizes of the input, of the output, and of a window |
| channels, middle, out | C, M, O |
| p, m | the pixels and expanded channels of a program |
| BLOCK_* | how many of each a program takes, powers of two |
| PRECISION | of products: "tf32", "tf32x3" or "ieee" |

Importing this needs the `triton` package, which torch for CUDA brings along.
"""

# Triton compiles these functions: their arguments are pointers, numbers, and what is known when they are compiled.
# mypy: disable-error-code="no-untyped-def, attr-defined, untyped-decorator"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def silu(u):
    """Its argument times its sigmoid."""
    return u / (1.0 + tl.exp(-u))


@triton.jit
def silu_slope(u):
    """Derivative of `silu`."""
    sigmoid = 1.0 / (1.0 + tl.exp(-u))
    return sigmoid * (1.0 + u * (1.0 - sigmoid))


@triton.jit
def expansion_of(
    x, weight, frame_bias, pixel_bias, p, m, pixels, image, frames, channels, middle,
    HAS_PIXEL_BIAS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_M: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """u1 of the pixels p (counted over windows, frames, rows and columns) and the channels m, as [P, M]."""
    inside_p, inside_m = p < pixels, m < middle
    u = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    for first in range(0, channels, BLOCK_C):
        c = first + tl.arange(0, BLOCK_C)
        inside_c = c < channels
        at = p[:, None].to(tl.int64) * channels + c[None, :]
        part = tl.load(x + at, mask=inside_p[:, None] & inside_c[None, :], other=0.0)
        matrix = tl.load(
            weight + m[None, :] * channels + c[:, None], mask=inside_m[None, :] & inside_c[:, None], other=0.0
        )
        u += tl.dot(part, matrix, input_precision=PRECISION)
    t = (p // image) % frames
    both = inside_p[:, None] & inside_m[None, :]
    u += tl.load(frame_bias + t[:, None] * middle + m[None, :], mask=both, other=0.0).to(tl.float32)
    if HAS_PIXEL_BIAS:
        u += tl.load(pixel_bias + (p % image)[:, None] * middle + m[None, :], mask=both, other=0.0).to(tl.float32)
    return u


@triton.jit
def expand(
    x, weight, frame_bias, pixel_bias, h1, pixels, image, frames, channels, middle,
    HAS_PIXEL_BIAS: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_M: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """h1 = silu(u1). Programs that read the same pixels follow each other, so that they find them in the cache."""
    blocks_m = tl.cdiv(middle, BLOCK_M)
    p = (tl.program_id(0) // blocks_m) * BLOCK_P + tl.arange(0, BLOCK_P)
    m = (tl.program_id(0) % blocks_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    u = expansion_of(
        x, weight, frame_bias, pixel_bias, p, m, pixels, image, frames, channels, middle,
        HAS_PIXEL_BIAS, BLOCK_P, BLOCK_C, BLOCK_M, PRECISION,
    )  # fmt: skip
    at = p[:, None].to(tl.int64) * middle + m[None, :]
    tl.store(h1 + at, silu(u).to(h1.dtype.element_ty), mask=(p < pixels)[:, None] & (m < middle)[None, :])


@triton.jit
def space(
    h1, weight, bias, u2, pixels, rows, columns, out_rows, out_columns, middle,
    STRIDE: tl.constexpr, KERNEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """u2: depthwise over rows and columns; `pixels` are those of the output."""
    blocks_m = tl.cdiv(middle, BLOCK_M)
    p = (tl.program_id(0) // blocks_m) * BLOCK_P + tl.arange(0, BLOCK_P)
    m = (tl.program_id(0) % blocks_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_p, inside_m = p < pixels, m < middle
    column, row = p % out_columns, (p // out_columns) % out_rows
    frame = (p // (out_columns * out_rows)).to(tl.int64)
    u = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    u += tl.load(bias + m, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(KERNEL * KERNEL):
        r = row * STRIDE + tap // KERNEL - KERNEL // 2
        c = column * STRIDE + tap % KERNEL - KERNEL // 2
        inside = inside_p & (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
        at = ((frame * rows + r) * columns + c)[:, None] * middle + m[None, :]
        near = tl.load(h1 + at, mask=inside[:, None] & inside_m[None, :], other=0.0).to(tl.float32)
        u += near * tl.load(weight + m * (KERNEL * KERNEL) + tap, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    at = p[:, None].to(tl.int64) * middle + m[None, :]
    tl.store(u2 + at, u.to(u2.dtype.element_ty), mask=inside_p[:, None] & inside_m[None, :])


@triton.jit
def activated(u2, at, mask, p, frame, frames):
    """silu(u2) of a frame; 0 outside the window."""
    return silu(tl.load(u2 + at, mask=mask & ((p * 0 + frame) < frames)[:, None], other=0.0).to(tl.float32))


@triton.jit
def time(
    u2, weight, bias, u3, sums, image, frames, middle,
    BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """u3: depthwise over frames of silu(u2), and the sum of silu(u3) over this program's pixels of the window."""
    window = tl.program_id(1).to(tl.int64)
    blocks_m = tl.cdiv(middle, BLOCK_M)
    part = tl.program_id(0) // blocks_m
    p = part * BLOCK_P + tl.arange(0, BLOCK_P)
    m = (tl.program_id(0) % blocks_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_m = m < middle
    mask = (p < image)[:, None] & inside_m[None, :]
    step = (window * 0 + image) * middle
    at = window * frames * step + p[:, None].to(tl.int64) * middle + m[None, :]
    w0 = tl.load(weight + m * 5 + 0, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w1 = tl.load(weight + m * 5 + 1, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w2 = tl.load(weight + m * 5 + 2, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w3 = tl.load(weight + m * 5 + 3, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w4 = tl.load(weight + m * 5 + 4, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    shift = tl.load(bias + m, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    a0 = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    a1 = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    a2 = activated(u2, at, mask, p, 0, frames)
    a3 = activated(u2, at + step, mask, p, 1, frames)
    total = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    for t in range(frames):
        a4 = activated(u2, at + (t + 2) * step, mask, p, t + 2, frames)
        u = w0 * a0 + w1 * a1 + w2 * a2 + w3 * a3 + w4 * a4 + shift
        total += tl.where(mask, silu(u), 0.0)
        tl.store(u3 + at + t * step, u.to(u3.dtype.element_ty), mask=mask)
        a0 = a1
        a1 = a2
        a2 = a3
        a3 = a4
    parts = tl.cdiv(image, BLOCK_P)
    tl.store(sums + (window * parts + part) * middle + m, tl.sum(total, axis=0), mask=inside_m)


@triton.jit
def contract(
    u3, weight, gate, bias, y, pixels, middle, out,
    BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Answer of the block, y = C (gate * silu(u3)) + b; `pixels` are those of a window, one window a program."""
    window = tl.program_id(1).to(tl.int64)
    blocks_o = tl.cdiv(out, BLOCK_O)
    p = (tl.program_id(0) // blocks_o) * BLOCK_P + tl.arange(0, BLOCK_P)
    o = (tl.program_id(0) % blocks_o) * BLOCK_O + tl.arange(0, BLOCK_O)
    inside_p, inside_o = p < pixels, o < out
    row = window * pixels + p.to(tl.int64)
    answer = tl.zeros((BLOCK_P, BLOCK_O), dtype=tl.float32)
    for first in range(0, middle, BLOCK_M):
        m = first + tl.arange(0, BLOCK_M)
        inside_m = m < middle
        u = tl.load(u3 + row[:, None] * middle + m[None, :], mask=inside_p[:, None] & inside_m[None, :], other=0.0)
        open_ = tl.load(gate + window * middle + m, mask=inside_m, other=0.0).to(tl.float32)
        h = (silu(u.to(tl.float32)) * open_[None, :]).to(weight.dtype.element_ty)
        matrix = tl.load(
            weight + o[None, :] * middle + m[:, None], mask=inside_o[None, :] & inside_m[:, None], other=0.0
        )
        answer += tl.dot(h, matrix, input_precision=PRECISION)
    answer += tl.load(bias + o, mask=inside_o, other=0.0).to(tl.float32)[None, :]
    tl.store(
        y + row[:, None] * out + o[None, :], answer.to(y.dtype.element_ty), mask=inside_p[:, None] & inside_o[None, :]
    )


@triton.jit
def contracted_back(
    dy, weight, row, m, inside_p, inside_m, middle, out,
    BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The transposed C times dy, as [P, M]."""
    answer = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    for first in range(0, out, BLOCK_O):
        o = first + tl.arange(0, BLOCK_O)
        inside_o = o < out
        part = tl.load(dy + row[:, None] * out + o[None, :], mask=inside_p[:, None] & inside_o[None, :], other=0.0)
        matrix = tl.load(
            weight + o[:, None] * middle + m[None, :], mask=inside_o[:, None] & inside_m[None, :], other=0.0
        )
        answer += tl.dot(part, matrix, input_precision=PRECISION)
    return answer


@triton.jit
def gate_back(
    dy, u3, weight, sums, pixels, middle, out,
    BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gate's gradient of this program's pixels: the sum of silu(u3) times what C hands back."""
    window = tl.program_id(1).to(tl.int64)
    blocks_m = tl.cdiv(middle, BLOCK_M)
    part = tl.program_id(0) // blocks_m
    p = part * BLOCK_P + tl.arange(0, BLOCK_P)
    m = (tl.program_id(0) % blocks_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_p, inside_m = p < pixels, m < middle
    row = window * pixels + p.to(tl.int64)
    handed = contracted_back(dy, weight, row, m, inside_p, inside_m, middle, out, BLOCK_P, BLOCK_M, BLOCK_O, PRECISION)
    mask = inside_p[:, None] & inside_m[None, :]
    u = tl.load(u3 + row[:, None] * middle + m[None, :], mask=mask, other=0.0).to(tl.float32)
    parts = tl.cdiv(pixels, BLOCK_P)
    tl.store(sums + (window * parts + part) * middle + m, tl.sum(handed * silu(u), axis=0), mask=inside_m)


@triton.jit
def contract_back(
    dy, u3, weight, gate, dmean, pixels, middle, out,
    BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """du3, which takes the place of u3."""
    window = tl.program_id(1).to(tl.int64)
    blocks_m = tl.cdiv(middle, BLOCK_M)
    p = (tl.program_id(0) // blocks_m) * BLOCK_P + tl.arange(0, BLOCK_P)
    m = (tl.program_id(0) % blocks_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_p, inside_m = p < pixels, m < middle
    row = window * pixels + p.to(tl.int64)
    handed = contracted_back(dy, weight, row, m, inside_p, inside_m, middle, out, BLOCK_P, BLOCK_M, BLOCK_O, PRECISION)
    open_ = tl.load(gate + window * middle + m, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    mean = tl.load(dmean + window * middle + m, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    at = row[:, None] * middle + m[None, :]
    mask = inside_p[:, None] & inside_m[None, :]
    u = tl.load(u3 + at, mask=mask, other=0.0).to(tl.float32)
    tl.store(u3 + at, ((open_ * handed + mean) * silu_slope(u)).to(u3.dtype.element_ty), mask=mask)


@triton.jit
def handed_on(du3, at, mask, p, frame, frames):
    """du3 of a frame; 0 outside the window."""
    return tl.load(du3 + at, mask=mask & ((p * 0 + frame) < frames)[:, None], other=0.0).to(tl.float32)


@triton.jit
def time_back(
    du3, u2, weight, image, frames, middle, BLOCK_P: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """du2, which takes the place of u2: the taps in the other order, and the slope of the second SiLU."""
    window = tl.program_id(1).to(tl.int64)
    blocks_m = tl.cdiv(middle, BLOCK_M)
    p = (tl.program_id(0) // blocks_m) * BLOCK_P + tl.arange(0, BLOCK_P)
    m = (tl.program_id(0) % blocks_m) * BLOCK_M + tl.arange(0, BLOCK_M)
    inside_m = m < middle
    mask = (p < image)[:, None] & inside_m[None, :]
    step = (window * 0 + image) * middle
    at = window * frames * step + p[:, None].to(tl.int64) * middle + m[None, :]
    w0 = tl.load(weight + m * 5 + 4, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w1 = tl.load(weight + m * 5 + 3, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w2 = tl.load(weight + m * 5 + 2, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w3 = tl.load(weight + m * 5 + 1, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    w4 = tl.load(weight + m * 5 + 0, mask=inside_m, other=0.0).to(tl.float32)[None, :]
    d0 = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    d1 = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
    d2 = handed_on(du3, at, mask, p, 0, frames)
    d3 = handed_on(du3, at + step, mask, p, 1, frames)
    for t in range(frames):
        d4 = handed_on(du3, at + (t + 2) * step, mask, p, t + 2, frames)
        u = tl.load(u2 + at + t * step, mask=mask, other=0.0).to(tl.float32)
        d = (w0 * d0 + w1 * d1 + w2 * d2 + w3 * d3 + w4 * d4) * silu_slope(u)
        tl.store(u2 + at + t * step, d.to(u2.dtype.element_ty), mask=mask)
        d0 = d1
        d1 = d2
        d2 = d3
        d3 = d4


@triton.jit
def expand_back(
    du2, x, space_weight, weight, frame_bias, pixel_bias, dx,
    pixels, image, rows, columns, out_rows, out_columns, frames, channels, middle,
    HAS_PIXEL_BIAS: tl.constexpr, STRIDE: tl.constexpr, KERNEL: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_ALL_C: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dx: back through the depthwise convolution, the first SiLU (u1 is computed again) and the expansion.

    `pixels` are those of the input; BLOCK_ALL_C holds all its channels.
    """
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    inside_p = p < pixels
    column, row = p % columns, (p // columns) % rows
    frame = (p // image).to(tl.int64)
    c = tl.arange(0, BLOCK_ALL_C)
    inside_c = c < channels
    answer = tl.zeros((BLOCK_P, BLOCK_ALL_C), dtype=tl.float32)
    for first in range(0, middle, BLOCK_M):
        m = first + tl.arange(0, BLOCK_M)
        inside_m = m < middle
        u = expansion_of(
            x, weight, frame_bias, pixel_bias, p, m, pixels, image, frames, channels, middle,
            HAS_PIXEL_BIAS, BLOCK_P, BLOCK_C, BLOCK_M, PRECISION,
        )  # fmt: skip
        d = tl.zeros((BLOCK_P, BLOCK_M), dtype=tl.float32)
        for tap in tl.static_range(KERNEL * KERNEL):
            # Input row r had a part in output row i if r = i stride + tap - padding.
            r = row + KERNEL // 2 - tap // KERNEL
            k = column + KERNEL // 2 - tap % KERNEL
            i, j = r // STRIDE, k // STRIDE
            inside = inside_p & (r >= 0) & (k >= 0) & (i < out_rows) & (j < out_columns)
            inside = inside & (r % STRIDE == 0) & (k % STRIDE == 0)
            at = ((frame * out_rows + i) * out_columns + j)[:, None] * middle + m[None, :]
            near = tl.load(du2 + at, mask=inside[:, None] & inside_m[None, :], other=0.0).to(tl.float32)
            taps = tl.load(space_weight + m * (KERNEL * KERNEL) + tap, mask=inside_m, other=0.0).to(tl.float32)
            d += near * taps[None, :]
        d1 = (d * silu_slope(u)).to(weight.dtype.element_ty)
        matrix = tl.load(
            weight + m[:, None] * channels + c[None, :], mask=inside_m[:, None] & inside_c[None, :], other=0.0
        )
        answer += tl.dot(d1, matrix, input_precision=PRECISION)
    at = p[:, None].to(tl.int64) * channels + c[None, :]
    tl.store(dx + at, answer.to(dx.dtype.element_ty), mask=inside_p[:, None] & inside_c[None, :])

/* The loops of a scan over int8 rows. Products with int8 planes: with few, where memory is the limit, the rows are asked
   for in time; with many, where arithmetic is, all sums of a tile stay in registers. And which products reach what is
   needed, for many probes, in one pass.

   Optional: int8_rows.py, int8_tiles.py and reaching.py say what is promised, scripts/int8_rows.py compiles it. Nothing
   here knows Python. No byte outside of the arrays is read or written; prefetching one is a hint, which cannot fault. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { NONE = 0, AVX2 = 1, AVX512_VNNI = 2 };

/* Measured: 2,048 is slower, 8,192 no faster (docs/decisions/0027). */
#define BYTES_AHEAD 4096

/* Rows that stay in a core's cache until every pair of planes has been multiplied with them. */
#define BYTES_AT_ONCE 65536

typedef void pair_of_planes(const int8_t *rows, size_t count, size_t length, const int8_t *first, const int8_t *second,
                            int32_t *to_first, int32_t *to_second, size_t stride);

static inline void fetch_ahead(const int8_t *place) {
    _mm_prefetch((const char *)((uintptr_t)place + BYTES_AHEAD), _MM_HINT_T0);
}

/* The instruction's first factor is unsigned: it gets the row with 128 added, and 128 times the plane's sum comes off. */
VNNI static void by_vnni(
    const int8_t *rows, size_t count, size_t length, const int8_t *first, const int8_t *second, int32_t *to_first,
    int32_t *to_second, size_t stride) {
    const __m512i added = _mm512_set1_epi8((char)0x80);
    const size_t whole = length / 64 * 64;
    const __mmask64 rest = ((uint64_t)1 << (length - whole)) - 1;
    const __m512i rest_of_first = _mm512_maskz_loadu_epi8(rest, first + whole);
    const __m512i rest_of_second = _mm512_maskz_loadu_epi8(rest, second + whole);
    __m512i excess = _mm512_dpbusd_epi32(_mm512_setzero_si512(), added, rest_of_first);
    __m512i other_excess = _mm512_dpbusd_epi32(_mm512_setzero_si512(), added, rest_of_second);
    for (size_t i = 0; i < whole; i += 64) {
        excess = _mm512_dpbusd_epi32(excess, added, _mm512_loadu_si512(first + i));
        other_excess = _mm512_dpbusd_epi32(other_excess, added, _mm512_loadu_si512(second + i));
    }
    for (size_t r = 0; r < count; r++) {
        const int8_t *row = rows + r * length;
        __m512i sums = _mm512_setzero_si512(), other_sums = sums;
        for (size_t i = 0; i < whole; i += 64) {
            fetch_ahead(row + i);
            const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(row + i), added);
            sums = _mm512_dpbusd_epi32(sums, x, _mm512_loadu_si512(first + i));
            other_sums = _mm512_dpbusd_epi32(other_sums, x, _mm512_loadu_si512(second + i));
        }
        if (rest) {
            fetch_ahead(row + whole);
            const __m512i x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, row + whole), added);
            sums = _mm512_dpbusd_epi32(sums, x, rest_of_first);
            other_sums = _mm512_dpbusd_epi32(other_sums, x, rest_of_second);
        }
        to_first[r * stride] = _mm512_reduce_add_epi32(_mm512_sub_epi32(sums, excess));
        to_second[r * stride] = _mm512_reduce_add_epi32(_mm512_sub_epi32(other_sums, other_excess));
    }
}

/* 16 sums of two products each, in 16 bits, where they fit (int8_rows.py), and from there 8 in 32 bits. */
__attribute__((target("avx2"))) static inline __m256i added_products(__m256i sums, __m256i row, __m256i magnitudes,
                                                                     const int8_t *plane) {
    const __m256i signed_like_row = _mm256_sign_epi8(_mm256_loadu_si256((const void *)plane), row);
    const __m256i pairs = _mm256_maddubs_epi16(magnitudes, signed_like_row);
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

__attribute__((target("avx2"))) static inline int32_t total(__m256i sums) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(1, 0, 3, 2)));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(four);
}

__attribute__((target("avx2"))) static void by_avx2(const int8_t *rows, size_t count, size_t length,
                                                    const int8_t *first, const int8_t *second, int32_t *to_first,
                                                    int32_t *to_second, size_t stride) {
    const size_t whole = length / 32 * 32;
    for (size_t r = 0; r < count; r++) {
        const int8_t *row = rows + r * length;
        __m256i sums = _mm256_setzero_si256(), other_sums = sums;
        for (size_t i = 0; i < whole; i += 32) {
            if (i % 64 == 0) fetch_ahead(row + i);
            const __m256i x = _mm256_loadu_si256((const void *)(row + i)), magnitudes = _mm256_abs_epi8(x);
            sums = added_products(sums, x, magnitudes, first + i);
            other_sums = added_products(other_sums, x, magnitudes, second + i);
        }
        int32_t sum = total(sums), other_sum = total(other_sums);
        if (whole % 64 == 0 && whole < length) fetch_ahead(row + whole);
        for (size_t i = whole; i < length; i++) {
            sum += row[i] * first[i];
            other_sum += row[i] * second[i];
        }
        to_first[r * stride] = sum;
        to_second[r * stride] = other_sum;
    }
}

/* A tile: some rows times some registers of planes. */
enum { LANES = 16, WIDEST = 4, PLANES_AT_ONCE = LANES * WIDEST, HIGHEST = 8 };

/* In place. Given the intrinsic, GCC 12 moves the sums of a tile to the stack and back: twice the time. */
VNNI static ALWAYS_INLINE void add_products(__m512i *sums, __m512i planes, __m512i row) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sums) : "v"(planes), "v"(row));
}

/* The instruction's first factor, which is unsigned, is the planes: they come with 128 added, and 128 times the sum of
   the row comes off. packed: as int8_tiles.py has it, of this tile's planes. high, wide: known when it is compiled. */
VNNI static ALWAYS_INLINE void tile(const size_t high, const size_t wide, const int8_t *rows, size_t length,
                                    const uint8_t *packed, int32_t *products, size_t stride, __mmask16 last) {
    const __m512i added = _mm512_set1_epi8((char)0x80);
    const size_t whole = length / 64 * 64, fours = length / 4, rest = length % 4;
    const __mmask64 left = ((uint64_t)1 << (length - whole)) - 1;
    __m512i sums[HIGHEST][WIDEST];
#pragma GCC unroll 8
    for (size_t r = 0; r < high; r++) {
        const int8_t *row = rows + r * length;
        __m512i excess = _mm512_dpbusd_epi32(_mm512_setzero_si512(), added, _mm512_maskz_loadu_epi8(left, row + whole));
        for (size_t i = 0; i < whole; i += 64) {
            fetch_ahead(row + i);
            excess = _mm512_dpbusd_epi32(excess, added, _mm512_loadu_si512(row + i));
        }
        const __m512i start = _mm512_set1_epi32(-_mm512_reduce_add_epi32(excess));
#pragma GCC unroll 4
        for (size_t c = 0; c < wide; c++) sums[r][c] = start;
    }
    for (size_t four = 0; four < fours; four++) {
        __m512i planes[WIDEST];
#pragma GCC unroll 4
        for (size_t c = 0; c < wide; c++) planes[c] = _mm512_loadu_si512(packed + (four * wide + c) * 64);
#pragma GCC unroll 8
        for (size_t r = 0; r < high; r++) {
            int32_t some;
            memcpy(&some, rows + r * length + four * 4, 4);
            const __m512i row = _mm512_set1_epi32(some);
#pragma GCC unroll 4
            for (size_t c = 0; c < wide; c++) add_products(&sums[r][c], planes[c], row);
        }
    }
    if (rest) {
#pragma GCC unroll 8
        for (size_t r = 0; r < high; r++) {
            uint32_t some = 0;
            for (size_t i = 0; i < rest; i++) some |= (uint32_t)(uint8_t)rows[r * length + fours * 4 + i] << 8 * i;
            const __m512i row = _mm512_set1_epi32((int32_t)some);
#pragma GCC unroll 4
            for (size_t c = 0; c < wide; c++)
                add_products(&sums[r][c], _mm512_loadu_si512(packed + (fours * wide + c) * 64), row);
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < high; r++)
#pragma GCC unroll 4
        for (size_t c = 0; c < wide; c++)
            _mm512_mask_storeu_epi32(products + r * stride + c * LANES, c == wide - 1 ? last : (__mmask16)0xffff,
                                     sums[r][c]);
}

typedef void tiles(const int8_t *rows, size_t count, size_t length, const uint8_t *packed, int32_t *products,
                   size_t stride, __mmask16 last);

/* The last tile takes some rows of the one before once more, and writes the same. */
#define TILES(high, wide)                                                                                             \
    VNNI static void tiles_##high##_##wide(const int8_t *rows, size_t count, size_t length, const uint8_t *packed,    \
                                           int32_t *products, size_t stride, __mmask16 last) {                       \
        for (size_t r = 0; r < count; r += high) {                                                                    \
            const size_t start = r + high <= count ? r : count - high;                                                \
            tile(high, wide, rows + start * length, length, packed, products + start * stride, stride, last);         \
        }                                                                                                             \
    }

/* So many rows that sums, planes and a number of the rows fill the registers, but for few planes. */
TILES(8, 1) TILES(8, 2) TILES(8, 3) TILES(6, 4)
TILES(1, 1) TILES(1, 2) TILES(1, 3) TILES(1, 4)

static void tiles_of(const int8_t *rows, size_t count, size_t length, const uint8_t *packed, size_t planes,
                     int32_t *products) {
    static tiles *const of_many[] = {tiles_8_1, tiles_8_2, tiles_8_3, tiles_6_4};
    static tiles *const of_one[] = {tiles_1_1, tiles_1_2, tiles_1_3, tiles_1_4};
    for (size_t first = 0; first < planes; first += PLANES_AT_ONCE) {
        const size_t some = planes - first < PLANES_AT_ONCE ? planes - first : PLANES_AT_ONCE;
        const size_t wide = (some + LANES - 1) / LANES;
        const __mmask16 last = (__mmask16)(0xffffu >> (wide * LANES - some));
        tiles *const make = (count < HIGHEST ? of_one : of_many)[wide - 1];
        make(rows, count, length, packed + first * ((length + 3) / 4 * 4), products + first, planes, last);
    }
}

/* Scores that reach: kept where there is room, and counted in any case. first: what is added to their places. */
struct found {
    size_t count, room;
    int64_t *places;
    float *scores;
    int64_t first;
};

static inline void keep(struct found *found, int64_t place, float score) {
    if (found->count < found->room) {
        found->places[found->count] = found->first + place;
        found->scores[found->count] = score;
    }
    found->count++;
}

/* Of scores that lie side by side, the first of them at `place`, those whose bits are set. */
static inline void keep_all(struct found *found, int64_t place, uint32_t bits, const float *scores) {
    for (; bits; bits &= bits - 1) {
        const int lane = __builtin_ctz(bits);
        keep(found, place + lane, scores[lane]);
    }
}

typedef void reaching_of_rows(const int32_t *products, size_t count, size_t probes, float finer, const float *scales,
                              const float *needed, struct found *found);

__attribute__((target("avx512f"))) static void reaching_by_avx512(const int32_t *products, size_t count, size_t probes,
                                                                   float finer, const float *scales, const float *needed,
                                                                   struct found *found) {
    const size_t stride = finer == 0 ? probes : 2 * probes;
    const __m512 factor = _mm512_set1_ps(finer);
    for (size_t r = 0; r < count; r++, products += stride) {
        const __m512 scale = _mm512_set1_ps(scales[r]);
        for (size_t p = 0; p < probes; p += 16) {
            const __mmask16 there = probes - p < 16 ? (__mmask16)((1u << (probes - p)) - 1) : (__mmask16)0xffff;
            __m512 score = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(there, products + p));
            if (finer != 0) {
                const __m512 finest = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(there, products + probes + p));
                score = _mm512_add_ps(score, _mm512_mul_ps(finest, factor));
            }
            score = _mm512_mul_ps(score, scale);
            const __m512 limit = _mm512_maskz_loadu_ps(there, needed + p);
            uint32_t reach = _mm512_mask_cmp_ps_mask(there, score, limit, _CMP_GE_OQ);
            if (__builtin_expect(reach == 0, 1)) continue;
            float some[16];
            _mm512_storeu_ps(some, score);
            keep_all(found, (int64_t)(r * probes + p), reach, some);
        }
    }
}

__attribute__((target("avx2"))) static void reaching_by_avx2(const int32_t *products, size_t count, size_t probes,
                                                             float finer, const float *scales, const float *needed,
                                                             struct found *found) {
    const size_t stride = finer == 0 ? probes : 2 * probes, whole = probes / 8 * 8;
    const __m256 factor = _mm256_set1_ps(finer);
    for (size_t r = 0; r < count; r++, products += stride) {
        const __m256 scale = _mm256_set1_ps(scales[r]);
        for (size_t p = 0; p < whole; p += 8) {
            __m256 score = _mm256_cvtepi32_ps(_mm256_loadu_si256((const void *)(products + p)));
            if (finer != 0) {
                const __m256i second = _mm256_loadu_si256((const void *)(products + probes + p));
                score = _mm256_add_ps(score, _mm256_mul_ps(_mm256_cvtepi32_ps(second), factor));
            }
            score = _mm256_mul_ps(score, scale);
            uint32_t reach = (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(score, _mm256_loadu_ps(needed + p), _CMP_GE_OQ));
            if (__builtin_expect(reach == 0, 1)) continue;
            float some[8];
            _mm256_storeu_ps(some, score);
            keep_all(found, (int64_t)(r * probes + p), reach, some);
        }
        for (size_t p = whole; p < probes; p++) {
            float score = (float)products[p];
            if (finer != 0) score += (float)products[probes + p] * finer;
            score *= scales[r];
            if (score >= needed[p]) keep(found, (int64_t)(r * probes + p), score);
        }
    }
}

/* The best that this processor and its operating system allow. */
__attribute__((visibility("default"))) int32_t best_instructions(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"))
        return AVX512_VNNI;
    return __builtin_cpu_supports("avx2") ? AVX2 : NONE;
}

/* products: (count, planes) of rows (count, length) with the planes (planes, length), all without gaps.
   instructions: not above best_instructions(), and not NONE. */
__attribute__((visibility("default"))) void multiply(int32_t instructions, const int8_t *rows, size_t count,
                                                     size_t length, const int8_t *planes, size_t plane_count,
                                                     int32_t *products) {
    pair_of_planes *multiply_pair = instructions == AVX512_VNNI ? by_vnni : by_avx2;
    const size_t at_once = BYTES_AT_ONCE / (length + 1) + 1;
    for (size_t start = 0; start < count; start += at_once) {
        const size_t here = count - start < at_once ? count - start : at_once;
        int32_t *to = products + start * plane_count;
        for (size_t plane = 0; plane < plane_count; plane += 2) {
            /* The last one of an odd number is multiplied twice, and written to the same place. */
            const size_t other = plane + 1 < plane_count ? plane + 1 : plane;
            multiply_pair(rows + start * length, here, length, planes + plane * length, planes + other * length,
                          to + plane, to + other, plane_count);
        }
    }
}

/* products: (count, probes), or with a finer plane (count, 2 probes), without gaps; finer: what that plane's products
   count, 0 without it. scales: (count). needed: (probes). places, scores: room for so many. Returns how many reach. */
__attribute__((visibility("default"))) size_t reaching(int32_t instructions, const int32_t *products, size_t count,
                                                       size_t probes, float finer, const float *scales,
                                                       const float *needed, size_t room, int64_t *places,
                                                       float *scores) {
    struct found found = {0, room, places, scores, 0};
    reaching_of_rows *find = instructions == AVX512_VNNI ? reaching_by_avx512 : reaching_by_avx2;
    find(products, count, probes, finer, scales, needed, &found);
    return found.count;
}

/* As `multiply`, for any number of planes. packed: the planes as int8_tiles.py has them. Needs AVX512_VNNI. */
__attribute__((visibility("default"))) void multiply_packed(const int8_t *rows, size_t count, size_t length,
                                                            const uint8_t *packed, size_t planes, int32_t *products) {
    const size_t at_once = BYTES_AT_ONCE / (length + 1) + 1;
    for (size_t start = 0; start < count; start += at_once) {
        const size_t here = count - start < at_once ? count - start : at_once;
        tiles_of(rows + start * length, here, length, packed, planes, products + start * planes);
    }
}

/* As `multiply_packed` and then `reaching`, some rows at a time, whose products stay in the cache.
   products: room for those of `at_once` rows. */
__attribute__((visibility("default"))) size_t reaching_packed(const int8_t *rows, size_t count, size_t length,
                                                              const uint8_t *packed, size_t probes, float finer,
                                                              const float *scales, const float *needed,
                                                              int32_t *products, size_t at_once, size_t room,
                                                              int64_t *places, float *scores) {
    struct found found = {0, room, places, scores, 0};
    const size_t planes = finer == 0 ? probes : 2 * probes;
    for (size_t start = 0; start < count; start += at_once) {
        const size_t here = count - start < at_once ? count - start : at_once;
        tiles_of(rows + start * length, here, length, packed, planes, products);
        found.first = (int64_t)(start * probes);
        reaching_by_avx512(products, here, probes, finer, scales + start, needed, &found);
    }
    return found.count;
}

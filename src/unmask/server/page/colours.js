// Which colour belongs to which forward? An even scale, from deep violet (first) to yellow (last).
//
// The path runs through OKLab, where equal distances look equally far apart, and is walked at
// constant speed. Lightness only ever rises, so the order also survives in grey and for people who
// see fewer colours.

const PATH = [
  // lightness, chroma, hue
  [0.37, 0.15, 283],
  [0.47, 0.19, 305],
  [0.56, 0.19, 340],
  [0.65, 0.18, 15],
  [0.74, 0.15, 45],
  [0.83, 0.14, 75],
  [0.91, 0.14, 100],
];
const STEPS = 256;

/** OKLab [L, a, b] -> linear sRGB [r, g, b]. */
function linear([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((part) => Math.min(1, Math.max(0, part)));
}

function lab([lightness, chroma, hue]) {
  const angle = (hue * Math.PI) / 180;
  return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)];
}

const far = (one, two) => Math.hypot(...one.map((part, at) => part - two[at]));
const between = (one, two, share) => one.map((part, at) => part + (two[at] - part) * share);

/** The path as points of equal distance. */
function evenly() {
  const corners = PATH.map(([lightness, chroma, hue], at) =>
    // Hues are walked upwards through 360.
    lab([lightness, chroma, hue + (at > 2 ? 360 : 0)]),
  );
  const lengths = corners.slice(1).map((corner, at) => far(corner, corners[at]));
  const whole = lengths.reduce((sum, length) => sum + length, 0);
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    let rest = (whole * step) / STEPS;
    let leg = 0;
    while (leg < lengths.length - 1 && rest > lengths[leg]) rest -= lengths[leg++];
    return between(corners[leg], corners[leg + 1], rest / lengths[leg]);
  });
}

const POINTS = evenly();

function paint(point) {
  const rgb = linear(point);
  const [r, g, b] = rgb;
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const coded = rgb.map((part) =>
    Math.round(255 * (part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055)),
  );
  // Whichever of near-black and white stands out more; at least 4.5 to 1 on every colour there is.
  const dark = luminance + 0.05 > Math.sqrt(1.05 * 0.05);
  return { fill: `rgb(${coded.join(" ")})`, ink: dark ? "#08080c" : "#ffffff" };
}

const PAINTED = POINTS.map(paint);

/** The paint {fill, ink} of forward `step` (from 1) of `steps`. */
export function colourOf(step, steps) {
  const share = steps > 1 ? (step - 1) / (steps - 1) : 0.35;
  return PAINTED[Math.round(STEPS * Math.min(1, Math.max(0, share)))];
}

/** The points of the scale in OKLab, for whoever wants to check that it is even. */
export const scale = POINTS;

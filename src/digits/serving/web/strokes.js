// A stroke's points, and how they become ink.

const PEN = 20; // 280ths: at a height of 200, as thick as MNIST's

export function point(x, y, pressure = 1) {
  return { x, y, pressure };
}

function between(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

// The newest of the points, from the one numbered `from` on, while the stroke is being drawn:
// curves through the middles of the segments.
export function trace(context, points, from) {
  for (let i = from; i < points.length; i++) {
    const [before, last, here] = [points[i - 2], points[i - 1] ?? points[i], points[i]];
    const start = before ? between(before, last) : last;
    const end = points[i - 1] ? between(last, here) : here;
    context.lineWidth = PEN * here.pressure;
    context.beginPath();
    context.moveTo(start.x, start.y);
    context.quadraticCurveTo(last.x, last.y, end.x, end.y);
    context.stroke();
  }
}

// The whole stroke, to its end. In one go where the pen pressed evenly: the joints don't show.
export function ink(context, points) {
  const [first, last] = [points[0], points.at(-1)];
  if (points.some(({ pressure }) => pressure !== first.pressure)) {
    trace(context, points, 0);
    trace(context, [points.at(-2), last, last], 2);
    return;
  }
  context.lineWidth = PEN * first.pressure;
  context.beginPath();
  context.moveTo(first.x, first.y);
  for (let i = 1; i < points.length; i++) {
    const middle = between(points[i - 1], points[i]);
    context.quadraticCurveTo(points[i - 1].x, points[i - 1].y, middle.x, middle.y);
  }
  context.lineTo(last.x, last.y);
  context.stroke();
}

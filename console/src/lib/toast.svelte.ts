/** Short messages at the edge of the page. */

export interface Toast {
  id: number;
  kind: 'good' | 'bad';
  text: string;
}

let next = 0;
export const toasts = $state<Toast[]>([]);

export function toast(text: string, kind: Toast['kind'] = 'good'): void {
  const id = next++;
  toasts.push({ id, kind, text });
  setTimeout(() => dismiss(id), kind === 'good' ? 5_000 : 15_000);
}

export function dismiss(id: number): void {
  const place = toasts.findIndex((one) => one.id === id);
  if (place >= 0) toasts.splice(place, 1);
}

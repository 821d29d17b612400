import { useEffect, useState } from 'react';
import { serverNow } from '../api/client';

/** The server's time, once a second while `ticking`, for "N seconds ago" and running durations. */
export function useServerClock(ticking: boolean): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => {
      setNow(serverNow());
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }, [ticking]);
  return now;
}

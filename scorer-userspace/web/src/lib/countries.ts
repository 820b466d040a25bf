// Countries by their ISO 3166 codes.

import codes from "i18n-iso-countries/codes.json";

const names = new Intl.DisplayNames("en", { type: "region" });

/** GB: United Kingdom. What is no code stays as it is. */
export function country(alpha2: string | null | undefined): string {
  if (!alpha2) return "unknown";
  try {
    return names.of(alpha2) ?? alpha2;
  } catch {
    return alpha2;
  }
}

/** Numeric code, as in the map, to alpha-2. */
export const byNumber: ReadonlyMap<string, string> = new Map(codes.map((row) => [row[2] as string, row[0] as string]));

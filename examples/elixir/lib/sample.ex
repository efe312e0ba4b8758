# SPDX-License-Identifier: Apache-2.0
defmodule Sample do
  @moduledoc """
  Checksums by C processes: two of them, on a C node that lives and dies with this application.
  """

  @doc """
  The CRC-32 of a binary.

      iex> Sample.crc32("123456789")
      {:ok, 0xCBF43926}
  """
  @spec crc32(binary()) :: {:ok, non_neg_integer()}
  def crc32(bytes) when is_binary(bytes), do: CNode.Pool.call(Sample.Workers, {:crc32, bytes})
end
